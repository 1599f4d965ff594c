#include "examples/compressarc/task_fit.h"

#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

#include "autograd/engine.h"
#include "autograd/ops/ops.h"
#include "hrm/support/clock.h"
#include "hrm/support/text.h"

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

std::vector<double> kl_of_tensors(const TaskOutputs& out) {
  std::vector<double> kl;
  for (const Subset s : subsets()) {
    kl.push_back(0);
    for (const double of_channel : out.kl[s].to_vector()) kl.back() += of_channel;
  }
  return kl;
}

}  // namespace

Json FitRecord::to_json() const {
  Json json = {{"step", step}, {"kl", costs.kl}, {"reconstruction", costs.reconstruction}};
  for (size_t i = 0; i < kl_of.size(); ++i) json["kl_of"][subsets()[i].name()] = kl_of[i];
  json["best"] = compressarc::to_json(best);
  json["second"] = compressarc::to_json(second);
  return json;
}

std::vector<FitRecord> parse_history(const Members& result, size_t tests) {
  constexpr double kMost = std::numeric_limits<double>::max();
  const std::string& file = result.source();
  std::vector<FitRecord> records;
  for (const Json& json : result.list("history")) {
    const Members line(json, file);
    FitRecord record;
    const int64_t after = records.empty() ? 0 : records.back().step;
    record.step = line.integer("step", after + 1, kMostSteps);
    HRM_CHECK(record.step % kRecordEvery == 0, "[compressarc] ", file, ": step ", record.step,
              " of the history is no multiple of ", kRecordEvery);
    record.costs = {line.number("kl", -kMost, kMost), line.number("reconstruction", -kMost, kMost)};
    if (line.has("kl_of")) {
      const Members parts = line.object("kl_of");
      for (const Subset s : subsets())
        record.kl_of.push_back(parts.number(s.name(), -kMost, kMost));
    }
    record.best = parse_answer(line.list("best"), tests, file);
    record.second = parse_answer(line.list("second"), tests, file);
    records.push_back(std::move(record));
  }
  return records;
}

std::string fit_key(const CodedTask& task, uint64_t seed) {
  std::string text = std::to_string(seed) + " " + std::to_string(task.demonstrations);
  for (const auto& sizes : task.sizes)
    for (const GridSize& size : sizes)
      text += " " + std::to_string(size.height) + "x" + std::to_string(size.width);
  text.append(task.codes.begin(), task.codes.end());
  text.append(task.colours.begin(), task.colours.end());
  return hexadecimal(name_hash(text));
}

TaskFit::TaskFit(const ArcTask& task, uint64_t seed)
    : task_(code_task(task)), key_(fit_key(task_, seed)), seed_(seed), answers_(task_) {
  Random random = Random(seed).fork("weights");
  network_ = std::make_unique<Network>(task_, random, DType::f32);
  optimizer_ = std::make_unique<Adam>(network_->named_parameters(), adam_options());
}

StepCosts TaskFit::advance() {
  const double began = seconds_now();
  Random random = Random(seed_).fork("noise").fork(static_cast<uint64_t>(steps_));
  const TaskOutputs out = network_->forward(network_->draw_noise(random));
  const Tensor kl = out.total_kl(), lengths = reconstruction(task_, out, steps_);
  const StepCosts costs = {kl.item(), lengths.item()};
  HRM_CHECK(std::isfinite(costs.kl) && std::isfinite(costs.reconstruction), "[compressarc] task ",
            task_.id, " diverged in step ", steps_ + 1,
            ". HINT: another --seed, into another --out folder");
  answers_.add(steps_, of_tests(task_, out));
  backward(kl + kReconstructionWeight * lengths);
  optimizer_->step(kLearningRate);
  optimizer_->zero_grad();
  ++steps_;
  seconds_ += seconds_now() - began;
  if (steps_ % kRecordEvery == 0)
    history_.push_back({steps_, costs, kl_of_tensors(out), answers_.best(), answers_.second()});
  return costs;
}

Json TaskFit::result() const {
  Json history = Json::array();
  for (const FitRecord& record : history_) history.push_back(record.to_json());
  return {{"task", task_.id},
          {"fit", key_},
          {"steps", steps_},
          {"seconds", seconds_},
          {"best", to_json(answers_.best())},
          {"second", to_json(answers_.second())},
          {"history", history}};
}

// What is no number goes in as the bytes of a text, because there is much of it.
void TaskFit::save(const Path& file) const {
  Json record = result();
  record["answers"] = answers_.to_json();
  const std::string text = record.dump();
  NamedTensors tensors = network_->state_dict("network.");
  for (auto& [name, tensor] : optimizer_->state_dict())
    tensors.emplace_back("optimizer." + name, tensor);
  for (auto& [name, tensor] : answers_.averages()) tensors.emplace_back("answers." + name, tensor);
  tensors.emplace_back(
      "record", from_vector(std::vector<uint8_t>(text.begin(), text.end()), {std::ssize(text)}));
  write_safetensors(file, tensors);
}

void TaskFit::load(const Path& file) {
  bool ours = false;
  try {
    ours = restore(read_safetensors(file), file.string());
  } catch (const Error& error) {
    throw with_hint(with_place(error, file.string()),
                    "remove the folder that it lies in, and the task is fitted anew");
  }
  HRM_CHECK(ours, "[compressarc] ", file.string(),
            " is the fit of another task, or with another seed. HINT: choose another --out folder");
}

bool TaskFit::restore(const Safetensors& saved, const std::string& file) {
  std::map<std::string, NamedTensors> parts;
  for (const auto& [name, tensor] : saved.tensors) {
    const size_t dot = name.find('.');
    const std::string rest = dot == std::string::npos ? "" : name.substr(dot + 1);
    parts[name.substr(0, dot)].emplace_back(rest, tensor);
  }
  const Tensor* text = find(saved.tensors, "record");
  HRM_CHECK(text && text->dtype() == DType::u8, "[compressarc] ", file, " is no fit of a task");
  const Json json = parse_json({reinterpret_cast<const char*>(text->contiguous().data()),
                                static_cast<size_t>(text->numel())},
                               file);
  const Members record(json, file);
  if (record.text("fit") != key_) return false;
  steps_ = record.integer("steps", 1, kMostSteps);
  seconds_ = record.number("seconds", 0, 1e9);
  answers_.restore(record.object("answers"), parts["answers"]);
  history_ = parse_history(record, static_cast<size_t>(task_.tests));
  HRM_CHECK(history_.empty() || history_.back().step <= steps_, "[compressarc] ", file,
            ": its history goes beyond its ", steps_, " steps");
  network_->load_state_dict(parts["network"]);
  optimizer_->load_state_dict(parts["optimizer"]);
  return true;
}

}  // namespace hrm::compressarc
