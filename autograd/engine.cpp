#include "autograd/engine.h"

#include <algorithm>
#include <queue>
#include <unordered_map>
#include <unordered_set>

#include "autograd/grad_mode.h"
#include "autograd/op_trace.h"

namespace hrm {
namespace {

using NodeSet = std::unordered_set<Node*>;

struct OlderFirst {
  bool operator()(const std::shared_ptr<Node>& a, const std::shared_ptr<Node>& b) const {
    return a->sequence() < b->sequence();  // priority_queue: the largest number on top
  }
};

// One run of the engine: gradients waiting at the outputs of nodes, and the nodes to run.
class Run {
 public:
  explicit Run(bool retain_graph) : retain_graph_(retain_graph) {}

  // The nodes that may run; empty means all.
  void restrict_to(NodeSet needed) {
    needed_ = std::move(needed);
    restricted_ = true;
  }
  // Asks for the gradient that arrives at one output of a node.
  void capture(Node* node, int output, Tensor* into) { captures_[node].emplace_back(output, into); }

  void add(const std::shared_ptr<Node>& node, int output, const Tensor& g) {
    const Node::Output& expected = node->outputs[output];
    HRM_CHECK(g.shape() == expected.shape && g.dtype() == expected.dtype, "[backward] gradient of ",
              node->name(), " must be ", expected.dtype, expected.shape, ", got ", g.dtype(),
              g.shape());
    auto [it, fresh] = pending_.try_emplace(node.get());
    if (fresh) {
      it->second.resize(node->outputs.size());
      ready_.push(node);
    }
    accumulate(it->second[output], g);
  }

  void run() {
    const NoGradGuard no_grad;
    while (!ready_.empty()) {
      const std::shared_ptr<Node> node = ready_.top();
      ready_.pop();
      auto entry = pending_.extract(node.get());
      Tensors grads = std::move(entry.mapped());
      for (auto& [output, hook] : node->hooks)
        if (grads[output].defined())
          if (Tensor replaced = hook(grads[output]); replaced.defined()) grads[output] = replaced;
      if (auto it = captures_.find(node.get()); it != captures_.end())
        for (auto& [output, into] : it->second) *into = grads[output];
      if (restricted_ && !needed_.contains(node.get())) continue;
      for (size_t i = 0; i < grads.size(); ++i)
        if (!grads[i].defined() && is_floating(node->outputs[i].dtype))
          grads[i] = zeros(node->outputs[i].shape, node->outputs[i].dtype, node->outputs[i].device);
      std::vector<bool> needed;
      node->arrived.clear();
      for (const Node::Edge& edge : node->edges) {
        needed.push_back(wanted(edge.node.get()));
        node->arrived.push_back(needed.back() ? waiting_at(edge) : nullptr);
      }
      const Tensors results = [&] {
        const TraceHold hold;
        return node->backward(grads, needed);
      }();
      if (trace::on()) trace_op(node->name() + " backward", results, grads);
      propagate(*node, results, needed);
      node->arrived.clear();
      if (!retain_graph_) node->release();
    }
  }

 private:
  bool wanted(Node* node) const {
    return node && (!restricted_ || needed_.contains(node) || captures_.contains(node));
  }
  Tensor* waiting_at(const Node::Edge& edge) {
    const auto at = pending_.find(edge.node.get());
    if (at == pending_.end()) return nullptr;
    Tensor& total = at->second[edge.output_index];
    return total.defined() ? &total : nullptr;
  }
  void propagate(const Node& node, const Tensors& grads, const std::vector<bool>& needed) {
    if (node.edges.empty()) return;
    HRM_CHECK(grads.size() == node.edges.size(), "[backward] ", node.name(), " must return ",
              node.edges.size(), " gradients, got ", grads.size());
    for (size_t i = 0; i < grads.size(); ++i)
      if (needed[i] && grads[i].defined())
        add(node.edges[i].node, node.edges[i].output_index, grads[i]);
  }

  bool retain_graph_;
  bool restricted_ = false;
  NodeSet needed_;
  std::unordered_map<Node*, std::vector<std::pair<int, Tensor*>>> captures_;
  std::unordered_map<Node*, Tensors> pending_;
  std::priority_queue<std::shared_ptr<Node>, std::vector<std::shared_ptr<Node>>, OlderFirst> ready_;
};

Tensor cotangent_of(const Tensor& output, const Tensors& cotangents, size_t i) {
  if (i < cotangents.size() && cotangents[i].defined()) return cotangents[i].detach();
  HRM_CHECK(output.numel() == 1, "[backward] a cotangent is needed for an output of shape ",
            output.shape(), ". HINT: pass one, or reduce the output with sum()");
  return ones(output.shape(), output.dtype(), output.device());
}

// Nodes from which a target can be reached, found without recursion: all reachable nodes, then one
// pass in creation order (inputs come before their users).
NodeSet nodes_leading_to(const Tensors& outputs, const NodeSet& targets) {
  std::vector<Node*> all;
  NodeSet seen;
  const auto visit = [&](Node* node) {
    if (node && seen.insert(node).second) all.push_back(node);
  };
  for (const Tensor& output : outputs) visit(gradient_node(output).get());
  for (size_t i = 0; i < all.size(); ++i)
    for (const Node::Edge& edge : all[i]->edges) visit(edge.node.get());
  std::sort(all.begin(), all.end(),
            [](const Node* a, const Node* b) { return a->sequence() < b->sequence(); });
  NodeSet needed;
  for (Node* node : all)
    for (const Node::Edge& edge : node->edges)
      if (edge.node && (targets.contains(edge.node.get()) || needed.contains(edge.node.get()))) {
        needed.insert(node);
        break;
      }
  return needed;
}

}  // namespace

void backward(const Tensor& loss, const Tensor& cotangent, bool retain_graph) {
  const auto node = gradient_node(loss);
  HRM_CHECK(node,
            "[backward] the output requires no gradient. HINT: compute it from a tensor with "
            "set_requires_grad(), outside NoGradGuard");
  Run run(retain_graph);
  run.add(node, loss.autograd()->output_index, cotangent_of(loss, {cotangent}, 0));
  run.run();
}

Tensors grad(const Tensors& outputs, const Tensors& inputs, const Tensors& cotangents,
             bool retain_graph) {
  Tensors result(inputs.size());
  Run run(retain_graph);
  NodeSet targets;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto node = gradient_node(inputs[i]);
    HRM_CHECK(node, "[grad] input ", i,
              " requires no gradient. HINT: set_requires_grad() on it before "
              "computing the outputs");
    targets.insert(node.get());
    run.capture(node.get(), inputs[i].autograd()->output_index, &result[i]);
  }
  run.restrict_to(nodes_leading_to(outputs, targets));
  for (size_t i = 0; i < outputs.size(); ++i)
    if (const auto node = gradient_node(outputs[i]))
      run.add(node, outputs[i].autograd()->output_index, cotangent_of(outputs[i], cotangents, i));
  run.run();
  return result;
}

}  // namespace hrm
