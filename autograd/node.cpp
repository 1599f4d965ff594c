#include "autograd/node.h"

#include <atomic>
#include <cstring>

#include "autograd/grad_mode.h"

namespace hrm {
namespace {

std::atomic<uint64_t> next_sequence{1};

// Where the gradient of a leaf ends: it adds to the leaf's .grad. Holds the leaf weakly, since the
// leaf holds this node.
class AccumulateGrad : public Node {
 public:
  explicit AccumulateGrad(const Tensor& leaf) : Node("accumulate_grad"), state_(leaf.autograd()) {
    sequence_ = 0;
    outputs = {{leaf.shape(), leaf.dtype(), leaf.device()}};
  }
  Tensors backward(const Tensors& grads, const std::vector<bool>&) override {
    const auto state = state_.lock();
    if (!state) return {};
    const Tensor& g = grads[0];
    if (state->grad.defined())
      accumulate(state->grad, g);
    else  // a gradient that is also another's, or the caller's, must not change with this one
      state->grad = g.is_unique() && g.is_contiguous() ? g : g.clone();
    return {};
  }

 private:
  std::weak_ptr<AutogradState> state_;
};

}  // namespace

class FunctionNode : public Node {
 public:
  FunctionNode(const char* name, Saved saved, BackwardRule rule)
      : Node(name), saved_(std::move(saved)), rule_(std::move(rule)) {}

  Tensors backward(const Tensors& grads, const std::vector<bool>& needed) override {
    HRM_CHECK(rule_, "[backward] the graph of ", name(),
              " was already released. HINT: pass retain_graph to run backward twice");
    saved_.needed_ = needed;
    saved_.arrived_ = arrived;
    Tensors result = rule_(saved_, grads);
    saved_.arrived_.clear();
    return result;
  }
  void release() override {
    saved_.entries_.clear();
    rule_ = nullptr;
  }

 private:
  Saved saved_;
  BackwardRule rule_;
};

Node::Node(std::string name)
    : sequence_(next_sequence.fetch_add(1, std::memory_order_relaxed)), name_(std::move(name)) {}

Node::~Node() {
  // Destroying the last reference to an input node would recurse along the chain; the outermost
  // destructor collects them in a list instead and works it off.
  static thread_local std::vector<std::shared_ptr<Node>>* pending = nullptr;
  if (pending) {
    for (Edge& edge : edges) pending->push_back(std::move(edge.node));
    return;
  }
  std::vector<std::shared_ptr<Node>> list;
  for (Edge& edge : edges) list.push_back(std::move(edge.node));
  pending = &list;
  while (!list.empty()) {
    const std::shared_ptr<Node> node = std::move(list.back());
    list.pop_back();
  }
  pending = nullptr;
}

Saved::Saved(std::string op, std::initializer_list<std::pair<const char*, Tensor>> tensors)
    : Saved(std::move(op), std::vector<std::pair<const char*, Tensor>>(tensors)) {}

Saved::Saved(std::string op, const std::vector<std::pair<const char*, Tensor>>& tensors)
    : op_(std::move(op)) {
  for (const auto& [name, tensor] : tensors)
    entries_.push_back({name, tensor.detach(), tensor.defined() ? tensor.storage().version() : 0});
}

Saved::Saved(std::string op, const Tensors& unnamed) : op_(std::move(op)) {
  for (const Tensor& tensor : unnamed)
    entries_.push_back({"input", tensor.detach(), tensor.storage().version()});
}

void Saved::check_version(const Entry& entry) const {
  HRM_CHECK(!entry.tensor.defined() || entry.tensor.storage().version() == entry.version, "[", op_,
            "] the saved tensor '", entry.name,
            "' was modified in place before backward. HINT: write to a detach().clone() of it");
}

void Saved::check_versions() const {
  for (const Entry& entry : entries_) check_version(entry);
}

const Tensor& Saved::operator[](const char* name) const {
  for (const Entry& entry : entries_) {
    if (std::strcmp(entry.name, name) != 0) continue;
    check_version(entry);
    return entry.tensor;
  }
  detail::fail("[", op_, "] saved no tensor named '", name, "'");
}

Tensors Saved::list(const char* name) const {
  Tensors all;
  for (const Entry& entry : entries_) {
    if (std::strcmp(entry.name, name) != 0) continue;
    check_version(entry);
    all.push_back(entry.tensor);
  }
  return all;
}

Tensor Saved::take_arrived(int input) const {
  Tensor* total = arrived_[input];
  return total ? std::exchange(*total, Tensor()) : Tensor();
}

template <class Range>
static bool any_requires_grad(const Range& inputs) {
  if (!grad_enabled()) return false;
  for (const Tensor& t : inputs)
    if (t.requires_grad()) return true;
  return false;
}
bool recording(std::initializer_list<Tensor> inputs) { return any_requires_grad(inputs); }
bool recording(const Tensors& inputs) { return any_requires_grad(inputs); }

void require_not_recording(const char* op, std::initializer_list<Tensor> inputs) {
  HRM_CHECK(!recording(inputs), "[", op,
            "] has no gradient, but an input requires one. HINT: wrap the "
            "call in a NoGradGuard or detach() the input");
}

void record_node(const char* name, const Tensors& outputs, const Tensors& inputs, Saved saved,
                 BackwardRule rule) {
  auto node = std::make_shared<FunctionNode>(name, std::move(saved), std::move(rule));
  for (const Tensor& input : inputs) {
    std::shared_ptr<Node> source = gradient_node(input);
    const int index = source ? input.autograd()->output_index : 0;
    node->edges.push_back({std::move(source), index});
  }
  for (const Tensor& output : outputs) {
    auto state = std::make_shared<AutogradState>();
    state->requires_grad = is_floating(output.dtype());
    state->is_leaf = false;
    state->node = node;
    state->output_index = static_cast<int>(node->outputs.size());
    output.autograd() = std::move(state);
    node->outputs.push_back({output.shape(), output.dtype(), output.device()});
  }
}

namespace {
// The members of Tensor record themselves through this.
[[maybe_unused]] const bool hooks_are_set = [] {
  autograd_hooks().enabled = grad_enabled;
  autograd_hooks().record = [](const char* name, const Tensor& result, const Tensor& input,
                               std::function<Tensor(const Tensor&)> adjoint) {
    record_node(name, {result}, {input}, Saved(name, Tensors{}),
                [adjoint = std::move(adjoint)](const Saved&, const Tensors& grads) {
                  return Tensors{adjoint(grads[0])};
                });
  };
  return true;
}();
}  // namespace

Tensor dense(const Tensor& x) {
  const NoGradGuard no_grad;
  return x.contiguous();
}

void accumulate(Tensor& total, const Tensor& g) {
  if (!total.defined()) {
    total = g.contiguous();
    return;
  }
  if (!total.is_unique()) total = total.clone();
  const Tensor dense = g.contiguous();
  HRM_DISPATCH(axpy, total.context(), total.dtype(), total.data(), dense.data(), total.numel(),
               1.0);
  total.storage().bump_version();
}

std::shared_ptr<Node> gradient_node(const Tensor& t) {
  if (!t.requires_grad()) return nullptr;
  auto& node = t.autograd()->node;
  if (!node) node = std::make_shared<AccumulateGrad>(t);
  return node;
}

void register_hook(const Tensor& t, Hook hook) {
  const auto node = gradient_node(t);
  HRM_CHECK(node,
            "[register_hook] the tensor requires no gradient. HINT: set_requires_grad() first");
  node->hooks.emplace_back(t.autograd()->output_index, std::move(hook));
}

}  // namespace hrm
