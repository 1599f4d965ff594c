#include "examples/compressarc/task_fit.h"

#include <nlohmann/json.hpp>

#include "autograd/engine.h"
#include "autograd/ops/ops.h"

namespace hrm::compressarc {
namespace {

constexpr double kLearningRate = 0.01;

AdamOptions adam_options() {
  AdamOptions options;
  options.kind = AdamKind::adamw;  // without decay: Adam
  options.beta1 = 0.5;
  options.beta2 = 0.9;
  options.weight_decay = 0;
  return options;
}

// The part of the network's output that is about the tests' outputs.
TestOutputs of_tests(const CodedTask& task, const TaskOutputs& out) {
  const auto part = [&](const Tensor& x) {
    const Tensor tests = slice(x, 0, task.demonstrations, task.examples());
    return select(tests, tests.ndim() - 1, kOutput).detach().contiguous();
  };
  return {part(out.logits), part(out.row_mask), part(out.col_mask)};
}

}  // namespace

TaskFit::TaskFit(const ArcTask& task, uint64_t seed)
    : task_(code_task(task)), seed_(seed), answers_(task_) {
  Random random = Random(seed).fork("weights");
  network_ = std::make_unique<Network>(task_, random, DType::f32);
  optimizer_ = std::make_unique<Adam>(network_->named_parameters(), adam_options());
}

StepCosts TaskFit::advance() {
  Random random = Random(seed_).fork("noise").fork(static_cast<uint64_t>(steps_));
  const TaskOutputs out = network_->forward(network_->draw_noise(random));
  const Tensor kl = out.total_kl(), costs = reconstruction(task_, out, steps_);
  answers_.add(steps_, of_tests(task_, out));
  backward(kl + kReconstructionWeight * costs);
  optimizer_->step(kLearningRate);
  optimizer_->zero_grad();
  ++steps_;
  return {kl.item(), costs.item()};
}

std::string TaskFit::key() const {
  std::string text = std::to_string(seed_) + " " + std::to_string(task_.demonstrations);
  for (const auto& sizes : task_.sizes)
    for (const GridSize& size : sizes)
      text += " " + std::to_string(size.height) + "x" + std::to_string(size.width);
  text.append(task_.codes.begin(), task_.codes.end());
  text.append(task_.colours.begin(), task_.colours.end());
  return hexadecimal(name_hash(text));
}

void TaskFit::save(const Path& file) const {
  NamedTensors tensors = network_->state_dict("network.");
  for (auto& [name, tensor] : optimizer_->state_dict())
    tensors.emplace_back("optimizer." + name, tensor);
  for (auto& [name, tensor] : answers_.averages()) tensors.emplace_back("answers." + name, tensor);
  write_safetensors(
      file, tensors,
      {{"fit", key()}, {"steps", std::to_string(steps_)}, {"answers", answers_.to_json().dump()}});
}

void TaskFit::load(const Path& file) {
  const Safetensors saved = read_safetensors(file);
  const auto text = [&](const char* name) {
    const auto found = saved.metadata.find(name);
    HRM_CHECK(found != saved.metadata.end(), "[compressarc] ", file.string(), " has no ", name,
              ". HINT: it is no fit of a task; choose another --out folder");
    return found->second;
  };
  HRM_CHECK(text("fit") == key(), "[compressarc] ", file.string(),
            " is the fit of another task, or with another seed. HINT: choose another --out folder");
  std::map<std::string, NamedTensors> parts;
  for (const auto& [name, tensor] : saved.tensors) {
    const size_t dot = name.find('.');
    parts[name.substr(0, dot)].emplace_back(name.substr(dot + 1), tensor);
  }
  const Json state = parse_json(text("answers"), file.string());
  const Json steps = parse_json(text("steps"), file.string());
  HRM_CHECK(steps.is_number_unsigned(), "[compressarc] ", file.string(),
            ": steps must be a whole number");
  network_->load_state_dict(parts["network"]);
  optimizer_->load_state_dict(parts["optimizer"]);
  answers_.restore(state, parts["answers"], file.string());
  steps_ = steps.get<int64_t>();
}

}  // namespace hrm::compressarc
