// A tree of parameters and buffers with names. forward is a typed member of each class, not a
// virtual of this one.
//
//     struct Net : Module {
//       Net() { add_module("layer", &layer); }
//       Tensor forward(const Tensor& x) const { return layer.forward(x); }
//       Linear layer{4, 2};   // named_parameters(): "layer.weight", "layer.bias"
//     };
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "nn/parameter.h"
#include "tensor/io.h"

namespace hrm {
inline namespace nn {

using NamedParameters = std::vector<std::pair<std::string, Parameter*>>;

class Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(const Module&) = delete;  // children are registered by address
  Module& operator=(const Module&) = delete;

  // Depth first, in order of registration; names joined by dots ("layers.0.mlp.down_proj.weight").
  NamedParameters named_parameters(const std::string& prefix = "") const;
  // Tensors that are saved but not trained by the optimizer (initial states, the puzzle table).
  std::vector<std::pair<std::string, Tensor*>> named_buffers(const std::string& prefix = "") const;
  // Parameters and buffers, sharing memory with the module.
  NamedTensors state_dict(const std::string& prefix = "") const;
  // Copies values in by name. An Error names the first missing, unexpected or misshapen tensor and
  // leaves the module untouched.
  void load_state_dict(const NamedTensors& state, const std::string& prefix = "");
  int64_t parameter_count() const;
  void zero_grad() const;
  // Whether this module and all below it train: then dropout drops. It is so from the start. HRM's
  // own modules behave alike in both, and say by an argument what differs.
  void train(bool on = true);
  void eval() { train(false); }
  bool is_training() const { return training_; }
  // Does now, with all threads, what forward would do at its first use and keep (packing weights):
  // for callers that run forward on several threads at once.
  virtual void prepare() const;

 protected:
  void add_parameter(std::string name, Parameter* parameter);
  void add_buffer(std::string name, Tensor* buffer);
  void add_module(std::string name, Module* child);

 private:
  template <class Leaf, class Visit>
  void walk(const std::string& prefix,
            const std::vector<std::pair<std::string, Leaf*>> Module::*leaves,
            const Visit& visit) const;

  NamedParameters parameters_;
  std::vector<std::pair<std::string, Tensor*>> buffers_;
  std::vector<std::pair<std::string, Module*>> children_;
  bool training_ = true;
};

}  // namespace nn
}  // namespace hrm
