#include "nn/module.h"

#include <set>

namespace hrm {
inline namespace nn {

void Module::add_parameter(std::string name, Parameter* parameter) {
  parameters_.emplace_back(std::move(name), parameter);
}
void Module::add_buffer(std::string name, Tensor* buffer) {
  buffers_.emplace_back(std::move(name), buffer);
}
void Module::add_module(std::string name, Module* child) {
  children_.emplace_back(std::move(name), child);
}

template <class Leaf, class Visit>
void Module::walk(const std::string& prefix,
                  const std::vector<std::pair<std::string, Leaf*>> Module::*leaves,
                  const Visit& visit) const {
  for (const auto& [name, leaf] : this->*leaves) visit(prefix + name, leaf);
  for (const auto& [name, child] : children_) child->walk(prefix + name + ".", leaves, visit);
}

NamedParameters Module::named_parameters(const std::string& prefix) const {
  NamedParameters all;
  walk<Parameter>(prefix, &Module::parameters_,
                  [&](const std::string& name, Parameter* p) { all.emplace_back(name, p); });
  return all;
}

std::vector<std::pair<std::string, Tensor*>> Module::named_buffers(
    const std::string& prefix) const {
  std::vector<std::pair<std::string, Tensor*>> all;
  walk<Tensor>(prefix, &Module::buffers_,
               [&](const std::string& name, Tensor* t) { all.emplace_back(name, t); });
  return all;
}

NamedTensors Module::state_dict(const std::string& prefix) const {
  NamedTensors state;
  for (const auto& [name, p] : named_parameters(prefix))
    state.emplace_back(name, p->value.detach());
  for (const auto& [name, b] : named_buffers(prefix)) state.emplace_back(name, b->detach());
  return state;
}

void Module::load_state_dict(const NamedTensors& state, const std::string& prefix) {
  const NamedTensors own = state_dict(prefix);
  std::set<std::string> expected;
  for (const auto& [name, target] : own) {
    expected.insert(name);
    const Tensor* source = find(state, name);
    HRM_CHECK(source, "[load] the file has no tensor '", name,
              "', which this model needs. HINT: is it a checkpoint of another model?");
    HRM_CHECK(source->shape() == target.shape(), "[load] '", name, "' must have shape ",
              target.shape(), ", got ", source->shape(),
              ". HINT: is it a checkpoint of another model?");
    HRM_CHECK(is_floating(source->dtype()), "[load] '", name, "' must be floating, got ",
              source->dtype());
  }
  for (const auto& [name, source] : state)
    HRM_CHECK(expected.contains(name), "[load] the file has a tensor '", name,
              "' that this model does not. HINT: is it a checkpoint of another model?");
  for (auto [name, target] : own) target.copy_from(*find(state, name));
  for (const auto& [name, p] : named_parameters(prefix)) p->refresh();
}

int64_t Module::parameter_count() const {
  int64_t count = 0;
  for (const auto& [name, p] : named_parameters()) count += p->value.numel();
  return count;
}

void Module::prepare() const {
  for (const auto& [name, child] : children_) child->prepare();
}

void Module::train(bool on) {
  training_ = on;
  for (const auto& [name, child] : children_) child->train(on);
}

void Module::zero_grad() const {
  for (const auto& [name, p] : named_parameters()) p->value.set_grad({});
}

}  // namespace nn
}  // namespace hrm
