// CompressARC (examples/compressarc) against the official code, in f64 and in f32.
#include <algorithm>
#include <cmath>

#include "autograd/engine.h"
#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"
#include "examples/compressarc/answers.h"
#include "examples/compressarc/loss.h"
#include "hrm/train/checkpoint.h"
#include "nn/optim/adam.h"
#include "tests/compressarc/composed.h"
#include "tests/parity/checks.h"

namespace hrm::parity {
namespace {

using namespace compressarc;

double norm(const Tensor& x) {
  double total = 0;
  for (const double v : x.to_vector()) total += v * v;
  return std::sqrt(total);
}
double norm_error(const Tensor& got, const Tensor& want) {
  const Values a = got.to_vector(), b = want.to_vector();
  if (a.size() != b.size()) return INFINITY;
  double total = 0;
  for (size_t i = 0; i < a.size(); ++i) total += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(total);
}

ArcGrid grid_of(const Json& rows) { return parse_grid(rows, "config.json"); }
Answer answer_of(const Json& grids) {
  Answer answer;
  for (const Json& grid : grids) answer.push_back(grid_of(grid));
  return answer;
}

// "layer0.share_up.11011.down" -> "layer0.share_up.down".
std::string kind_of(const std::string& name) {
  std::string kind = name;
  for (const Subset s : subsets())
    if (const size_t at = kind.find("." + s.name()); at != std::string::npos)
      return kind.erase(at, 1 + s.name().size());
  return kind;
}

struct Fixture {
  Path folder;
  const Json& config;
  CodedTask task;
  DType dtype;
  bool exact = dtype == DType::f64;
  // What the numbers were rounded to when they were stored.
  double stored() const { return config.at("stored_dtype") == "f32" ? 1.5e-7 : 1e-9; }
  const Json& f32_errors(const char* what) const {
    return config.at("tolerances").at("f32_against_f64").at(what);
  }
  std::string label(const std::string& quantity) const {
    return std::string(exact ? "f64 " : "f32 ") + quantity;
  }
  TensorMap tensors(const char* file) const {
    TensorMap map;
    for (auto& [name, tensor] : load(folder / file)) map[name] = tensor.to(dtype);
    return map;
  }
};

void check_task(Ledger& ledger, const Fixture& f) {
  const CodedTask& task = f.task;
  const auto same = [&](const char* what, bool equal) { ledger.ratio(what, equal ? 0 : INFINITY); };
  const Json& sizes = f.config.at("sizes");
  same("sizes", sizes.at("n_examples") == task.examples() && sizes.at("n_x") == task.rows &&
                    sizes.at("n_train") == task.demonstrations && sizes.at("n_y") == task.cols &&
                    sizes.at("n_test") == task.tests &&
                    sizes.at("n_colors") == task.other_colours());
  same("colours", f.config.at("colors") == Json(task.colours));
  same("flags", f.config.at("in_out_same_size") == task.outputs_like_inputs &&
                    f.config.at("all_in_same_size") == task.one_input_size &&
                    f.config.at("all_out_same_size") == task.one_output_size);
  for (int64_t n = 0; n < task.examples(); ++n)
    for (const Side side : {kInput, kOutput}) {
      const Json& size = f.config.at("shapes").at(n).at(side);
      same("sizes of grids", size == Json({task.size(n, side).height, task.size(n, side).width}));
      for (int64_t row = 0; row < task.rows; ++row)
        for (int64_t col = 0; col < task.cols; ++col)
          same("codes", f.config.at("coded_problem").at(n).at(row).at(col).at(side) ==
                            task.code(n, row, col, side));
    }
  for (const auto& [name, entry] : f.config.at("direction_share_tables").items()) {
    const Subset s = parse_subset(name);
    same("maps of directions",
         entry.at("table") == Json(direction_maps(s).map) && entry.at("owner") == s.owner().name());
  }
}

// The recorded values; what is not recorded begins at 0.
void load_weights(Ledger& ledger, const Fixture& f, Network& network) {
  TensorMap recorded = f.tensors("weights.safetensors");
  const auto& zero = f.config.at("zero_at_start");
  NamedTensors state;
  int64_t elements = 0, latents = 0;
  for (const auto& [name, parameter] : network.named_parameters()) {
    const bool is_zero = std::find(zero.begin(), zero.end(), name) != zero.end();
    if (is_zero) ledger.ratio("zero at the start", norm(parameter->value) == 0 ? 0 : INFINITY);
    state.emplace_back(name, is_zero ? zeros_like(parameter->value) : recorded.at(name));
    recorded.erase(name);
    elements += parameter->value.numel();
    if (name.starts_with("posterior")) latents += parameter->value.numel();
  }
  ledger.ratio("every parameter", recorded.empty() ? 0 : INFINITY);
  ledger.ratio("trainable elements", f.config.at("trainable_elements") == elements ? 0 : INFINITY);
  ledger.ratio("network elements",
               f.config.at("network_elements") == elements - latents ? 0 : INFINITY);
  network.load_state_dict(state);
}

Multitensor<Tensor> noise_of(const TensorMap& noise, int64_t step) {
  Multitensor<Tensor> all;
  char prefix[16];
  std::snprintf(prefix, sizeof prefix, "step%02d.", static_cast<int>(step));
  for (const Subset s : subsets()) all[s] = noise.at(prefix + s.name());
  return all;
}

// The rows of the examples that a fixture holds.
Tensor recorded_rows(const Fixture& f, const Tensor& x, Subset s) {
  if (!s.has(kExample)) return x;
  Tensors rows;
  for (const Json& row : f.config.at("example_rows_in_activations"))
    rows.push_back(slice(x, 0, row.get<int64_t>(), row.get<int64_t>() + 1));
  return concat(rows, 0);
}

class StepZero {
 public:
  StepZero(Ledger& ledger, const Fixture& f) : ledger_(ledger), f_(f) {
    recorded_ = f.tensors("step0.safetensors");
  }
  void watch(int layer, const std::string& part, const Multitensor<Tensor>& x) {
    const NoGradGuard no_grad;
    if (layer == 0) compare("layer0." + part, x);
    if (layer == kLayers - 1 && part == "normalize") compare("final", x);
  }
  void check(const TaskOutputs& out) {
    const NoGradGuard no_grad;
    const Json& errors = f_.f32_errors("step0_outputs");
    const auto one = [&](const std::string& name, const Tensor& got) {
      const std::string kind = name.substr(0, name.find('.', name[0] == 'k' ? 0 : 4));
      at_most(name, got, recorded_.at(name), errors.at(kind).at("rel_norm_error"));
    };
    one("out.logits", slice(out.logits, 1, 1, out.logits.size(1)));
    one("out.x_mask", out.row_mask);
    one("out.y_mask", out.col_mask);
    for (const Subset s : subsets()) one("kl." + s.name(), out.kl[s]);
  }
  // The gradient of the reconstruction at what the network says, if the step were another one.
  void check_output_gradients(const TaskOutputs& out) {
    for (const int64_t step : {0, 50}) {
      TaskOutputs leaves = out;
      for (Tensor* t : {&leaves.logits, &leaves.row_mask, &leaves.col_mask})
        *t = t->detach().clone().set_requires_grad();
      const Tensors grads = grad({reconstruction(f_.task, leaves, step)},
                                 {leaves.logits, leaves.row_mask, leaves.col_mask});
      const std::string prefix = "outgrad" + std::to_string(step) + ".";
      const auto one = [&](const char* name, const Tensor& got) {
        const Tensor want = recorded_.at(prefix + name);
        // From outputs as they are stored, -1000 for instance.
        at_most(prefix + name, got, want, 1e-5, 20);
      };
      one("logits", slice(grads[0], 1, 1, grads[0].size(1)));
      one("x_mask", grads[1]);
      one("y_mask", grads[2]);
    }
    const NoGradGuard no_grad;
    for (const auto& [step, want] : f_.config.at("loss_at_steps").items()) {
      const double got = reconstruction(f_.task, out, std::stoll(step)).item();
      ledger_.scalar(f_.label("reconstruction at steps"), got, want,
                     (f_.exact ? 1e-8 : 1e-5) * std::abs(want.get<double>()));
    }
  }

 private:
  void compare(const std::string& part, const Multitensor<Tensor>& x) {
    for (const Subset s : subsets()) {
      const auto want = recorded_.find(part + "." + s.name());
      if (want == recorded_.end()) continue;
      at_most(part, recorded_rows(f_, x[s], s), want->second,
              f_.f32_errors("step0_activations").at(part).at("rel_norm_error"));
    }
  }
  // By norm, in f32 within a few times the error of the official code in f32.
  void at_most(const std::string& quantity, const Tensor& got, const Tensor& want,
               const Json& f32_error, double slack = 1) {
    const double relative =
        f_.exact ? slack * f_.stored() : std::max(4 * f32_error.get<double>(), 4e-7);
    ledger_.ratio(f_.label(quantity), norm_error(got, want) / (relative * norm(want) + 1e-11));
  }

  Ledger& ledger_;
  const Fixture& f_;
  TensorMap recorded_;
};

void check_gradients_of(Ledger& ledger, const Fixture& f, const Network& network) {
  const TensorMap recorded = f.tensors("grads.safetensors");
  const Json& never = f.config.at("never_receives_a_gradient");
  std::map<std::string, std::pair<double, double>> by_kind;  // squared error, squared norm
  for (const auto& [name, parameter] : network.named_parameters()) {
    const Tensor got = parameter->value.grad();
    const auto want = recorded.find(name);
    if (want == recorded.end()) {
      const bool listed = std::any_of(never.begin(), never.end(), [&, &name = name](const Json& n) {
        return n.get<std::string>().starts_with(name);
      });
      ledger.ratio("no gradient", listed && (!got.defined() || norm(got) == 0) ? 0 : INFINITY);
      continue;
    }
    const Tensor given = got.defined() ? got : zeros_like(want->second);
    const double error = norm_error(given, want->second), size = norm(want->second);
    // What is rounding alone has no digits to compare.
    if (f.exact) ledger.ratio(f.label("grad " + kind_of(name)), error / (f.stored() * size + 1e-9));
    auto& [errors, sizes] = by_kind[kind_of(name)];
    errors += error * error;
    sizes += size * size;
  }
  if (f.exact) return;
  for (const auto& [kind, sums] : by_kind) {
    const double official = f.f32_errors("step0_grads").at(kind).at("rel_norm_error");
    ledger.ratio(
        f.label("grad " + kind),
        std::sqrt(sums.first) / (std::max(10 * official, 1e-6) * std::sqrt(sums.second) + 1e-5));
  }
}

void check_parameters(Ledger& ledger, const Fixture& f, const Network& network, int64_t step) {
  const std::string key = "param_sum_and_norm_after_step" + std::to_string(step);
  for (const auto& [name, parameter] : network.named_parameters()) {
    if (!f.config.at(key).contains(name)) continue;
    const Json& want = f.config.at(key).at(name);
    double total = 0;
    for (const double v : parameter->value.to_vector()) total += v;
    const double size = norm(parameter->value);
    // Adam divides a gradient by its size, so where that is rounding alone, so is the update.
    const bool vague = name.ends_with(".capacity");
    const double tolerance = (step == 0 ? 2e-8 : 4e-7) * (vague ? 500 : 1);
    ledger.scalar(f.label(key), total, want.at(0), tolerance);
    ledger.scalar(f.label(key), size, want.at(1), tolerance);
  }
}

// How far numbers of a step may lie from the recorded ones: the trajectory is chaotic.
double tolerance_of(int64_t step) {
  return step <= 3 ? 1e-9 : step == 4 ? 1e-6 : step == 5 ? 1e-5 : 5e-2;
}

void check_step(Ledger& ledger, const Fixture& f, const TaskOutputs& out, int64_t step) {
  const NoGradGuard no_grad;
  const double relative = f.exact ? tolerance_of(step) : step == 0 ? 2e-6 : 4e-4;
  const auto near = [&](const std::string& what, double got, const Json& want) {
    ledger.scalar(f.label(what), got, want, relative * std::max(1.0, std::abs(want.get<double>())));
  };
  near("total KL of each step", out.total_kl().item(), f.config.at("total_kl").at(step));
  if (!f.exact && step > 0) return;
  for (const Subset s : subsets())
    near("KL of tensors", sum(out.kl[s]).item(),
         f.config.at("kl_per_tensor").at(step).at(s.name()));
  const Values lengths = code_lengths(f.task, out, step).to_vector();
  double total = 0;
  for (const double length : lengths) total += length;
  near("reconstruction of each step", total, f.config.at("reconstruction_error").at(step));
  for (const auto& [grid, want] : f.config.at("reconstruction_terms").at(step).items()) {
    const int64_t example = std::stoll(grid), side = grid.back() - '0';
    // Late in the trajectory a grid's part wanders more than the whole.
    const double scale = step <= 5 ? std::abs(want.get<double>()) : std::abs(total);
    ledger.scalar(f.label("reconstruction of grids"), lengths[example * 2 + side], want,
                  relative * std::max(1.0, scale));
  }
}

// Answers from the recorded outputs of every step.
void check_answers(Ledger& ledger, const Fixture& f) {
  const TensorMap outputs = load(f.folder / "test_outputs.safetensors");
  Answers answers(f.task);
  const auto same = [&](const char* what, bool equal) { ledger.ratio(what, equal ? 0 : INFINITY); };
  for (int64_t step = 0; step < f.config.at("steps"); ++step) {
    char prefix[16];
    std::snprintf(prefix, sizeof prefix, "step%02d.", static_cast<int>(step));
    const std::string p = prefix;
    const auto got = answers.add(
        step, {outputs.at(p + "logits").to(DType::f64), outputs.at(p + "x_mask").to(DType::f64),
               outputs.at(p + "y_mask").to(DType::f64)});
    for (size_t i = 0; i < got.size(); ++i) {
      const Json& want = f.config.at("candidates").at(step).at(i);
      same("candidates", got[i].grids == answer_of(want.at("grids")));
      ledger.scalar("uncertainty", got[i].uncertainty, want.at("uncertainty"), 1e-6);
      ledger.scalar("score", got[i].score, want.at("score"), 1e-5);
    }
    const Json& picks = f.config.at("picks").at(step);
    same("picks",
         answers.best() == answer_of(picks.at(0)) && answers.second() == answer_of(picks.at(1)));
  }
}

void check_fit(Ledger& ledger, const Path& folder, const Json& config, DType dtype) {
  Json problem = config.at("problem");
  const ArcTask arc = parse_arc_task(problem, config.at("task"), "config.json");
  const Fixture f{folder, config, code_task(arc), dtype};
  Random random(1);
  Network network(f.task, random, dtype);
  load_weights(ledger, f, network);
  if (f.exact) {
    check_task(ledger, f);
    check_answers(ledger, f);
  }
  const TensorMap noise = f.tensors("noise.safetensors");
  StepZero first(ledger, f);
  AdamOptions options;
  options.kind = AdamKind::adamw;
  options.beta1 = 0.5;
  options.beta2 = 0.9;
  options.weight_decay = 0;
  Adam optimizer(network.named_parameters(), options);
  for (int64_t step = 0; step < config.at("steps"); ++step) {
    if (step == 0)
      network.watch = [&](int layer, const std::string& part, const Multitensor<Tensor>& x) {
        first.watch(layer, part, x);
      };
    const TaskOutputs out = network.forward(noise_of(noise, step));
    network.watch = nullptr;
    check_step(ledger, f, out, step);
    if (step == 0) {
      first.check(out);
      first.check_output_gradients(out);
    }
    optimizer.zero_grad();
    backward(out.total_kl() + kReconstructionWeight * reconstruction(f.task, out, step));
    if (step == 0) check_gradients_of(ledger, f, network);
    optimizer.step(0.01);
    if (f.exact && (step == 0 || step == 2)) check_parameters(ledger, f, network, step);
    if (!f.exact && step == 3) break;
  }
}

void check_directional(Ledger& ledger, const TensorMap& tensors, const std::string& name,
                       const Json& entry) {
  // The cells of the input or the output of each example.
  std::vector<double> inside;
  const int64_t rows = entry.at("X"), cols = entry.at("Y");
  for (const Json& sizes : entry.at("shapes"))
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t col = 0; col < cols; ++col) {
        bool in = false;
        for (const Json& size : sizes) in |= row < size.at(0) && col < size.at(1);
        inside.push_back(in);
      }
  const int64_t examples = std::ssize(entry.at("shapes"));
  const Shape shape = entry.at("dims") == "11111" ? Shape{examples, 1, rows, cols, 1}
                                                  : Shape{examples, rows, cols, 1};
  const Tensor mask = from_values(inside, shape, DType::f64);
  const auto one = [&](const char* op, Tensor (*f)(const Tensor&, const Tensor&)) {
    const Tensor p = tensors.at(name + ".in").detach().clone().set_requires_grad();
    const Tensor y = f(p, mask);
    const std::string quantity = name + "." + op;
    ledger.close(quantity, y, tensors.at(quantity + ".out"), 1e-12, 1e-12);
    // Among equal values another gradient is as good.
    if (entry.at("ties") && std::string(op) == "cummax") return;
    const Tensors grads = grad({y}, {p}, {tensors.at(name + ".cotangent")});
    const Tensor want = tensors.at(quantity + ".grad");
    ledger.ratio(quantity + " gradient", norm_error(grads[0], want) / (1e-11 * norm(want)));
  };
  one("cummax", composed::directional_cummax);
  one("shift", composed::directional_shift);
}

void check_latents(Ledger& ledger, const TensorMap& tensors) {
  for (const auto& [key, mean] : tensors) {
    if (!key.ends_with(".mean")) continue;
    const std::string name = key.substr(0, key.find('.') + 1);
    const auto variable = [&](const char* what) {
      return tensors.at(name + what).detach().clone().set_requires_grad();
    };
    const Tensor m = variable("mean"), a = variable("a"), t = variable("t");
    const composed::Latent latent = composed::decode_latent(m, a, t, tensors.at(name + "noise"));
    ledger.close(name + "z", latent.z, tensors.at(name + "z"), 1e-12, 1e-12);
    ledger.close(name + "kl", latent.kl, tensors.at(name + "kl"), 1e-12, 1e-12);
    const Tensors grads = grad({latent.z, latent.kl}, {m, a, t},
                               {tensors.at(name + "cot_z"), tensors.at(name + "cot_kl")});
    const char* names[] = {"grad_mean", "grad_a", "grad_t"};
    for (size_t i = 0; i < grads.size(); ++i) {
      const Tensor want = tensors.at(name + names[i]);
      ledger.ratio(name + names[i], norm_error(grads[i], want) / (1e-10 * norm(want) + 1e-10));
    }
  }
}

// The bookkeeping alone, over synthetic outputs.
void check_selection(Ledger& ledger, const Path& folder, const Json& config) {
  const TensorMap inputs = load(folder / "inputs.safetensors");
  const auto same = [&](const char* what, bool equal) { ledger.ratio(what, equal ? 0 : INFINITY); };
  for (const auto& [name, entry] : config.items()) {
    CodedTask task;
    task.colours = entry.at("colors").get<std::vector<uint8_t>>();
    task.one_output_size = entry.at("known_size");
    for (const Json& size : entry.at("predicted_shapes"))
      task.sizes.push_back({GridSize{}, GridSize{size.at(0), size.at(1)}});
    task.tests = std::ssize(task.sizes);
    Answers answers(task);
    int64_t number = 0;
    for (const Json& step : entry.at("steps")) {
      char key[16];
      std::snprintf(key, sizeof key, ".%02d.", static_cast<int>(number++));
      const auto tensor = [&, &name = name](const char* what) {
        return inputs.at(name + key + what).to(DType::f64);
      };
      const auto got =
          answers.add(step.at("step"), {tensor("logits"), tensor("x_mask"), tensor("y_mask")});
      for (size_t i = 0; i < got.size(); ++i) {
        const Json& want = step.at("candidates").at(i);
        same("candidates", got[i].grids == answer_of(want.at("grids")));
        ledger.scalar("uncertainty", got[i].uncertainty, want.at("uncertainty"), 2e-6);
      }
      const Json& last = step.at("candidates").back();
      ledger.scalar("total", answers.total(answer_of(last.at("grids"))), last.at("total"), 2e-5);
      same("best", answers.best() == answer_of(step.at("best")));
      same("second", answers.second() == answer_of(step.at("second")));
    }
    same("distinct", entry.at("distinct") == answers.proposed());
  }
}

}  // namespace

void check_compressarc(Ledger& ledger, const Path& folder, const Json& config) {
  const std::string name = folder.filename();
  if (name == "selection") return check_selection(ledger, folder, config);
  if (name != "ops") {
    check_fit(ledger, folder, config, DType::f64);
    return check_fit(ledger, folder, config, DType::f32);
  }
  const TensorMap directional = load(folder / "directional.safetensors");
  for (const auto& [key, entry] : config.at("cases").items())
    check_directional(ledger, directional, key, entry);
  check_latents(ledger, load(folder / "channel.safetensors"));
}

}  // namespace hrm::parity
