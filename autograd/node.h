// The tape. Every recorded operation is a Node: edges to the nodes of its inputs, the tensors it
// saved (by name, with the version they had), and its backward rule.
//
//     register_hook(x, [](const Tensor& grad) { return 0.5 * grad; });   // half of it flows on
//     backward(loss);
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/trace.h"
#include "tensor/tensor.h"

namespace hrm {

using Tensors = std::vector<Tensor>;
// Prints a line of HRM_TRACE=1 (autograd/op_trace.h): only where trace::on().
void trace_op(const std::string& name, const Tensors& outputs, const Tensors& inputs);
// May replace the gradient that flows through a tensor; an undefined result keeps it. It must not
// write to its argument, which may be the gradient of other tensors, too.
using Hook = std::function<Tensor(const Tensor& grad)>;

class Node {
 public:
  struct Edge {
    std::shared_ptr<Node> node;  // null: this input needs no gradient
    int output_index = 0;
  };
  // What the engine must know of an output to check and to zero-fill its gradient.
  struct Output {
    Shape shape;
    DType dtype;
    Device device;
  };

  explicit Node(std::string name);
  virtual ~Node();  // releases a chain of any length without recursion
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Gradients of the outputs in, gradients of the inputs out; only those in `needed` must be
  // computed, the rest may be undefined.
  virtual Tensors backward(const Tensors& grads, const std::vector<bool>& needed) = 0;
  // Drops saved tensors; a second backward is then an error.
  virtual void release() {}

  const std::string& name() const { return name_; }
  // Creation order; the engine runs larger numbers first. Leaves have 0.
  uint64_t sequence() const { return sequence_; }

  std::vector<Edge> edges;
  std::vector<Output> outputs;
  // While backward() runs: of each input what other nodes have given it so far, or null.
  std::vector<Tensor*> arrived;
  std::vector<std::pair<int, Hook>> hooks;  // (output index, hook)

 protected:
  uint64_t sequence_;
  std::string name_;
};

// The tensors an operation keeps for its backward rule, by name, and which inputs need a gradient.
class Saved {
 public:
  struct Entry {
    const char* name;
    Tensor tensor;
    uint64_t version = 0;
  };
  Saved(std::string op, std::initializer_list<std::pair<const char*, Tensor>> tensors);
  Saved(std::string op, const std::vector<std::pair<const char*, Tensor>>& tensors);
  Saved(std::string op, const Tensors& unnamed);

  // The saved tensor; an Error if it was modified in place since.
  const Tensor& operator[](const char* name) const;
  // All that were saved under this name, with the same check.
  Tensors list(const char* name) const;
  // The same error if any of them was modified.
  void check_versions() const;
  // Whether this run of the engine wants the gradient of an input.
  bool needs(int input) const { return needed_[input]; }
  // What other operations have given an input so far, undefined if nothing: for a rule that starts
  // its sum from that, and returns the gradient of them all.
  Tensor take_arrived(int input) const;
  size_t inputs() const { return needed_.size(); }

 private:
  void check_version(const Entry& entry) const;
  friend class FunctionNode;
  std::string op_;
  std::vector<Entry> entries_;
  std::vector<bool> needed_;
  std::vector<Tensor*> arrived_;
};

// The rule of one operation: gradients of the outputs to gradients of the inputs, one per input.
using BackwardRule = std::function<Tensors(const Saved& saved, const Tensors& grads)>;

// True if an operation on these inputs would be recorded.
bool recording(std::initializer_list<Tensor> inputs);
bool recording(const Tensors& inputs);

// Hangs a node on `outputs` (fresh tensors). Call only if recording(inputs).
void record_node(const char* name, const Tensors& outputs, const Tensors& inputs, Saved saved,
                 BackwardRule rule);

// The way an op file records itself, doing nothing when no input needs a gradient:
//   return record("exp", y, {x}, {{"y", y}}, [](const Saved& saved, const Tensor& dy) {
//     return Tensors{...};
//   });
template <class Inputs = std::initializer_list<Tensor>, class Rule>
Tensor record(const char* name, const Tensor& output, const Inputs& inputs,
              std::initializer_list<std::pair<const char*, Tensor>> saved, Rule rule) {
  if (trace::on()) [[unlikely]]
    trace_op(name, {output}, Tensors(inputs));
  if (recording(inputs))
    record_node(name, {output}, inputs, Saved(name, saved),
                [rule](const Saved& s, const Tensors& grads) { return rule(s, grads[0]); });
  return output;
}

// x.contiguous() inside an operation that records itself: without a node of its own.
Tensor dense(const Tensor& x);

// total += g; takes g itself if total is undefined, writes in place only where nobody else can see.
void accumulate(Tensor& total, const Tensor& g);

// For an op without a gradient rule: an Error if it would have been recorded.
void require_not_recording(const char* op, std::initializer_list<Tensor> inputs);

// The node that receives the gradient of `t`, created for a leaf on first use; null if none.
std::shared_ptr<Node> gradient_node(const Tensor& t);
// Calls `hook` with the gradient of `t` whenever it has been summed up.
void register_hook(const Tensor& t, Hook hook);

}  // namespace hrm
