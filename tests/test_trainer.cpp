// Training: resuming bit for bit, threads, micro-batches, the NaN guard, evaluation. What a run
// folder holds is tested in test_resume.cpp.
#include <omp.h>

#include <cmath>
#include <fstream>

#include <fmt/core.h>

#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"
#include "hrm/presets.h"
#include "hrm/tasks/tokens.h"
#include "hrm/train/estimate.h"
#include "hrm/train/row_queue.h"
#include "hrm/train/run_files.h"
#include "hrm/train/trainer.h"
#include "hrm/view/metrics.h"
#include "hrm/view/report.h"
#include "nn/optim/schedule.h"
#include "tests/support/small_run.h"
#ifdef HRM_EMULATE
#include "kernels/cuda/emulate/emulate.h"
#endif

using namespace hrm;
using namespace hrm::test;
TEST_CASE("a run that is killed and resumed ends with the same bits, on every device") {
  for (const Device device : devices())
    for (const std::vector<std::string>& settings : std::vector<std::vector<std::string>>{
             {"refill=only_halted"},
             {"refill=only_halted", "dtype=bf16"},
             {"refill=reference"},
             {"refill=only_halted", "unroll_segments=2", "gradient=full_bptt"},
             {"refill=reference", "unroll_segments=3"},
             {"refill=only_halted", "optimizer=muon", "dtype=bf16"}}) {
      SmallRun s(8);  // few rows: the emulated device is slow
      s.config.train.batch_size = 4;
      s.config.train.eval_puzzles = 4;
      for (const std::string& setting : settings) s.config.set_from(setting);
      const auto whole = s.trainer("whole", device);
      whole->run({});
      // Killed after step 9: the newest checkpoint is that of step 8, metrics are further on.
      {
        const auto killed = s.trainer("killed", device);
        TrainCallbacks callbacks;
        struct Kill {};
        callbacks.on_metrics = [](const TrainMetrics& m) {
          if (m.step == 9) throw Kill();
        };
        CHECK_THROWS_AS(killed->run(callbacks), Kill);
      }
      const auto resumed = s.trainer("killed", device);
      resumed->resume();
      CHECK(resumed->steps_done() == 8);
      CHECK(resumed->run({}) == TrainOutcome::finished);
      CHECK(same_weights(whole->model(), resumed->model()));
      CHECK(without_times(read_file(s.dir / "whole" / "metrics.jsonl")) ==
            without_times(read_file(s.dir / "killed" / "metrics.jsonl")));
      const auto best = [&](const char* run) {
        return read_checkpoint(s.dir / run / "best", true).state["step"];
      };
      CHECK(best("whole") == best("killed"));
    }
}

TEST_CASE("one, two and three threads train the same bits") {
  for (const char* optimizer : {"adam_atan2", "muon"}) {
    SmallRun s;
    s.config.set("optimizer", optimizer);
    const int before = omp_get_max_threads();
    std::vector<std::unique_ptr<Trainer>> runs;
    for (const int threads : {1, 2, 3}) {
      omp_set_num_threads(threads);
      runs.push_back(s.trainer("threads" + std::to_string(threads)));
      for (int i = 0; i < 5; ++i) runs.back()->step();
    }
    omp_set_num_threads(before);
    CHECK(same_weights(runs[0]->model(), runs[1]->model()));
    CHECK(same_weights(runs[0]->model(), runs[2]->model()));
  }
}

TEST_CASE("micro-batches give the step of the whole batch, unrolled segments too") {
  const SmallRun s;
  for (const int64_t unroll : {1, 2}) {
    Config config = s.config;
    config.model.dtype = DType::f64;
    config.model.halt_exploration_prob = 0.5;
    config.model.act = unroll == 1;
    config.train.unroll_segments = unroll;
    TrainStep whole(config, *s.train, Device::cpu);
    config.train.micro_batches = 3;
    TrainStep parts(config, *s.train, Device::cpu);
    MetricsWindow window(whole.columns(), Device::cpu);
    // Wants to halt at once, so that exploration has something to say.
    for (TrainStep* step : {&whole, &parts})
      step->module().q_head.bias.value.copy_from(from_values({5, -5}, {2}, DType::f64));
    for (int64_t step = 1; step <= 4; ++step) {
      whole.run(step, window);
      parts.run(step, window);
    }
    CHECK(weight_difference(whole.module(), parts.module()) < 1e-6);
    CHECK(whole.carry().inputs.to_vector() == parts.carry().inputs.to_vector());
    CHECK(whole.carry().steps.to_vector() == parts.carry().steps.to_vector());
    CHECK(whole.carry().halted.to_vector() == parts.carry().halted.to_vector());
  }
}

namespace {

// Unrolled segments of a small f64 model on two slots and four rows of different puzzles.
struct Unrolled {
  ModelConfig config = tiny_model();
  std::unique_ptr<Model> model;
  explicit Unrolled(const std::string& rule) {
    config.num_puzzle_identifiers = 5;
    config.gradient = rule;
    config.halt_max_steps = 2;
    config.halt_exploration_prob = 0;
    config.continue_loss = false;
    Random random(3);
    model = std::make_unique<Model>(config, &random);
    model->q_head.bias.value.copy_from(from_values({-5, -4}, {2}, DType::f64));  // go on, no tie
  }
  // Both slots hold puzzles that slot 0 has seen for one segment, and slot 1 for none: slot 0 halts
  // behind the next segment, slot 1 behind the one after.
  Carry carry(const Rows& rows) const {
    Carry c = initial_carry(*model, 2);
    begin_segment(*model, c, rows, Refill::only_halted);
    c.halted.zero();
    c.steps.copy_from(from_values({1, 0}, {2}, DType::i32));
    return c;
  }
  static Rows rows() {
    Random data(4);
    return {data.randint({4, 5}, 1, 5), data.randint({4, 5}, 2, 5),
            from_values({1, 2, 3, 4}, {4}, DType::i32), zeros({1}, DType::i32)};
  }
  struct Result {
    std::vector<SegmentResult> parts;
    Carry carry;
    std::vector<double> gradient;  // of all parameters
    double loss = 0;               // of all segments
  };
  // `count` segments in one step, or in steps of one.
  Result run(int64_t count, bool together) const {
    model->zero_grad();
    const Rows from = rows();
    Result r;
    r.carry = carry(from);
    if (together)
      r.parts = train_segments(*model, r.carry, from, Refill::only_halted, {}, count, 1);
    for (int64_t i = 0; i < count && !together; ++i) {
      begin_segment(*model, r.carry, from, Refill::only_halted);
      Carry now = r.carry;
      now.puzzle_ids = now.puzzle_ids.clone();  // the results keep them
      r.parts.push_back(train_segment(*model, now, {}, 1));
    }
    for (const auto& part : r.parts) r.loss += part.loss.total.item();
    for (const auto& [name, p] : model->named_parameters())
      if (p->value.grad().defined())
        for (const double g : p->value.grad().to_vector()) r.gradient.push_back(g);
    return r;
  }
};

}  // namespace

TEST_CASE("unrolled segments: the gradient of the sum of their losses, by finite differences") {
  for (const char* rule : {"full_bptt", "checkpointed", "last_k:9", "one_step"}) {
    CAPTURE(rule);
    const Unrolled u(rule);
    const auto here = u.run(2, true);
    double squares = 0;
    for (const double g : here.gradient) squares += g * g;
    // Along the gradient itself the loss rises by its norm.
    const double length = std::sqrt(squares), step = 1e-5;
    std::vector<std::pair<Tensor, Tensor>> moves;  // a weight, and its part of the direction
    for (const auto& [name, p] : u.model->named_parameters())
      if (p->value.grad().defined())
        moves.emplace_back(p->value, (p->value.grad() * (step / length)).clone());
    const auto moved = [&](double times) {
      std::vector<Tensor> kept;
      for (auto& [w, d] : moves) {
        kept.push_back(w.detach().clone());
        w.copy_from(kept.back() + d * times);
      }
      const double loss = u.run(2, true).loss;
      for (size_t i = 0; i < moves.size(); ++i) moves[i].first.copy_from(kept[i]);
      return loss;
    };
    const double slope = (moved(1) - moved(-1)) / (2 * step);
    if (rule == std::string("one_step"))
      CHECK(std::abs(slope / length - 1) > 1e-2);
    else
      CHECK(slope == doctest::Approx(length).epsilon(1e-7));
  }
}

TEST_CASE("unrolled segments: rules that detach change nothing, a slot that starts anew cuts") {
  for (const char* rule : {"one_step", "neumann:1", "full_bptt"}) {
    CAPTURE(rule);
    const Unrolled u(rule);
    const auto together = u.run(3, true), apart = u.run(3, false);
    CHECK(together.loss == apart.loss);
    CHECK(together.carry.steps.to_vector() == apart.carry.steps.to_vector());
    CHECK(together.carry.halted.to_vector() == apart.carry.halted.to_vector());
    CHECK(together.carry.inputs.to_vector() == apart.carry.inputs.to_vector());
    CHECK(together.carry.state.z_L.to_vector() == apart.carry.state.z_L.to_vector());
    const bool crosses = rule == std::string("full_bptt");
    CHECK((relative_distance(together.gradient, apart.gradient) < 1e-12) == !crosses);
    // Slot 0 takes another puzzle behind the first segment, slot 1 behind the second.
    const std::vector<double> ids[3] = {{1, 2}, {3, 2}, {3, 4}};
    for (int i = 0; i < 3; ++i) {
      CHECK(together.parts[i].puzzle_ids.to_vector() == ids[i]);
      // The embedding of a slot's puzzle has its own loss's gradient, unless the slot goes on.
      for (const int64_t slot : {0, 1}) {
        const auto row = [&](const Unrolled::Result& r) {
          return r.parts[i].puzzle_rows.grad().slice(0, slot, slot + 1).to_vector();
        };
        const bool goes_on = i < 2 && ids[i][slot] == ids[i + 1][slot];
        CHECK((relative_distance(row(together), row(apart)) < 1e-12) == !(crosses && goes_on));
      }
    }
    // One segment is one segment, to the bit.
    CHECK(u.run(1, true).gradient == u.run(1, false).gradient);
  }
}

TEST_CASE("unrolled segments: a step counts the rows of each, and updates the puzzles of each") {
  SmallRun s;
  s.config.train.unroll_segments = 2;
  s.config.train.total_steps = 2;
  s.config.train.lr_warmup_steps = 0;
  s.config.model.halt_max_steps = 1;
  TrainCallbacks callbacks;
  std::vector<TrainMetrics> lines;
  callbacks.on_metrics = [&](const TrainMetrics& m) { lines.push_back(m); };
  s.trainer("unrolled")->run(callbacks);
  REQUIRE(lines.size() == 2);
  CHECK(lines[1].samples == 2 * 2 * 8);
  CHECK(lines[1].mean("finished") == 2 * 8);  // of one step: every row halts after one segment
  CHECK(lines[1].mean("lm_loss") == doctest::Approx(std::log(6)).epsilon(0.3));  // a mean over rows
  s.config.train.micro_batches = 2;
  expect_error([&] { s.config.validate(); }, "with micro_batches 2 needs act=false");
}

TEST_CASE("a step allocates nothing once it is warm, on every device") {
  SmallRun s;
  for (const int64_t unroll : {1, 2})
    for (const Device device : devices()) {
      s.config.train.unroll_segments = unroll;
      const auto trainer = s.trainer("warm", device);
      for (int i = 0; i < 6; ++i) trainer->step();
      const uint64_t before = allocator_stats(device).allocations;
      for (int i = 0; i < 3; ++i) trainer->step();
#ifdef HRM_EMULATE_CHECK
      if (device == Device::cuda) continue;  // there nothing is kept for reuse
#endif
      CHECK(allocator_stats(device).allocations == before);
    }
}

TEST_CASE("depth curriculum: the cycles of each step, and a run that is resumed across them") {
  Config c;
  c.model.H_cycles = 3;
  c.model.L_cycles = 6;
  c.train.total_steps = 10;
  CHECK(cycles_at(c, 1) == Cycles{3, 6});
  c.train.depth_curriculum = true;
  for (const auto& [step, cycles] : {std::pair<int64_t, Cycles>{1, {1, 2}},
                                     {3, {1, 2}},
                                     {4, {2, 4}},
                                     {6, {2, 4}},
                                     {7, {3, 6}},
                                     {10, {3, 6}}})
    CHECK(cycles_at(c, step) == cycles);
  c.model.H_cycles = 2;
  c.model.L_cycles = 1;
  CHECK(cycles_at(c, 1) == Cycles{1, 1});
  CHECK(cycles_at(c, 5) == Cycles{2, 1});

  SmallRun s;  // 12 steps, a checkpoint every 4
  s.config.model.gradient = "last_cycle";
  const auto deep = s.trainer("deep");
  s.config.train.depth_curriculum = true;
  const auto whole = s.trainer("whole");
  deep->run({});
  whole->run({});
  CHECK_FALSE(same_weights(deep->model(), whole->model()));
  const auto resumed = cut_and_resumed(s, "cut", 2);
  CHECK(same_weights(resumed->model(), whole->model()));
  CHECK(resumed->model().recurrence().updates.size() == update_list(s.config.model).size());
}

TEST_CASE("late starts: states run ahead uncounted, and a run that is resumed draws the same") {
  SmallRun s;
  const auto early = s.trainer("early");
  s.config.train.late_start_share = 0.5;
  s.config.train.late_start_updates = 64;
  const auto whole = s.trainer("whole");
  early->run({});
  whole->run({});
  CHECK_FALSE(same_weights(early->model(), whole->model()));
  CHECK(same_weights(cut_and_resumed(s, "cut", 6)->model(), whole->model()));
  s.config.train.unroll_segments = 2;
  expect_error([&] { s.config.validate(); }, "late_start_share needs unroll_segments 1, got 2");
}

TEST_CASE("late starts: to run ahead is to evaluate segments, on every device") {
  const SmallRun s;
  for (const Device device : devices()) {
    Random random(3);
    const Model model(s.config.model, &random, device);
    const Batch batch = eval_batch(*s.test, 0, 2);
    Carry ahead = initial_carry(model, 2), steps = initial_carry(model, 2);
    begin_segment(model, ahead, batch, Refill::reference);
    begin_segment(model, steps, batch, Refill::reference);
    run_ahead(model, ahead, 3);
    for (int i = 0; i < 3; ++i) eval_segment(model, steps, 100);
    CHECK(ahead.state.z_H.to_vector() == steps.state.z_H.to_vector());
    CHECK(ahead.state.z_L.to_vector() == steps.state.z_L.to_vector());
    CHECK(ahead.steps.to_vector() == std::vector<double>(2, 1));
  }
}

#if HRM_WITH_CUDA
TEST_CASE("cuda: a recorded step gives the bits of its launches") {
  for (const char* refill : {"only_halted", "reference"}) {
    SmallRun s;
    s.config.set("refill", refill);
    const bool by_slot = refill == std::string("reference");
    s.config.train.micro_batches = by_slot ? 2 : 1;
    s.config.train.unroll_segments = by_slot ? 1 : 2;
    const auto graph = s.trainer("graph", Device::cuda), plain = s.trainer("plain", Device::cuda);
    plain->use_cuda_graph(false);
    for (int i = 0; i < 9; ++i) {
      graph->step();
      plain->step();
    }
    CHECK(same_weights(graph->model(), plain->model()));
    // The averages and the evaluation between steps leave the recording as it is.
    evaluate(graph->model(), *s.test, {});
    for (int i = 0; i < 2; ++i) {
      graph->step();
      plain->step();
    }
    CHECK(same_weights(graph->model(), plain->model()));
  }
}

TEST_CASE("cuda: a recorded step of every rule of halting gives the bits of its launches") {
  struct Case {
    const char* rule;
    int64_t unroll;
  };
  for (const Case& c :
       {Case{"fixed", 1}, {"confidence", 1}, {"ponder", 1}, {"ponder", 2}, {"act", 2}}) {
    CAPTURE(std::string(c.rule));
    SmallRun s(8);  // few rows: the emulated device is slow
    s.config.set("halting", c.rule);
    s.config.model.halt_max_steps = 2;
    s.config.model.step_signal = s.config.model.input_once = true;
    s.config.train.batch_size = 2;
    s.config.train.unroll_segments = c.unroll;
    if (c.rule == std::string("act")) {
      s.config.model.puzzle_emb_ndim = 0;
      s.config.model.act_per_position = true;
    }
    const auto graph = s.trainer("graph", Device::cuda), plain = s.trainer("plain", Device::cuda);
    plain->use_cuda_graph(false);
    for (int i = 0; i < 7; ++i) {
      graph->step();
      plain->step();
    }
    CHECK(same_weights(graph->model(), plain->model()));
  }
}

TEST_CASE("cuda: late steps are launched between recorded ones, with the same bits") {
  SmallRun s(8);  // few rows: the emulated device is slow
  s.config.train.batch_size = 2;
  s.config.train.total_steps = 16;
  s.config.train.late_start_share = 0.2;
  s.config.train.late_start_updates = 32;
  s.config.train.micro_batches = 2;
  const auto graph = s.trainer("graph", Device::cuda), plain = s.trainer("plain", Device::cuda);
  plain->use_cuda_graph(false);
  for (int i = 0; i < 16; ++i) {
    graph->step();
    plain->step();
  }
  CHECK(graph->replays());
  CHECK(same_weights(graph->model(), plain->model()));
}

TEST_CASE("cuda: a step of another depth gets a recorded step of its own") {
  SmallRun s;
  s.config.train.depth_curriculum = true;
  s.config.model.H_cycles = 3;  // three depths: steps 1 to 8, 9 to 15, and from 16 on
  s.config.train.total_steps = 24;
  const auto graph = s.trainer("graph", Device::cuda), plain = s.trainer("plain", Device::cuda);
  plain->use_cuda_graph(false);
  for (int step = 1; step <= 22; ++step) {
    graph->step();
    plain->step();
    if (step == 8 || step == 15) CHECK(graph->replays());
    if (step == 9 || step == 16) CHECK_FALSE(graph->replays());
  }
  CHECK(graph->replays());
  CHECK(same_weights(graph->model(), plain->model()));
}

TEST_CASE("cuda: one recorded trainer may go while another goes on") {
  SmallRun s, other;
  other.config.train.batch_size = 12;
  auto leaves = other.trainer("leaves", Device::cuda);
  const auto stays = s.trainer("stays", Device::cuda), plain = s.trainer("plain", Device::cuda);
  plain->use_cuda_graph(false);
  const auto steps = [&](int n) {
    for (int i = 0; i < n; ++i) {
      if (leaves) leaves->step();
      stays->step();
      plain->step();
    }
  };
  steps(8);
  leaves.reset();
  // What it had is used for something else now.
  Tensors garbage;
  for (int64_t n = 1; n < 40000; n += n / 4 + 1)
    for (int i = 0; i < 4; ++i) garbage.push_back(full({n}, NAN, DType::f32, Device::cuda));
  steps(3);
  CHECK(same_weights(stays->model(), plain->model()));
}

TEST_CASE("cuda: a step is recorded once it asks the system for no memory") {
  SmallRun s;
  const auto trainer = s.trainer("graph", Device::cuda);
  const auto asked = [&] {
    const uint64_t before = allocator_stats(Device::cuda).allocations;
    trainer->step();
    return allocator_stats(Device::cuda).allocations - before;
  };
  uint64_t last = 1;
  for (int i = 0; !trainer->replays() && i < 8; ++i) {
    const uint64_t now = asked();
    if (trainer->replays()) CHECK(last + now == 0);
    last = now;
  }
  CHECK(trainer->replays());
  CHECK(asked() == 0);
}

#ifdef HRM_EMULATE
TEST_CASE("cuda: a step that cannot be recorded is launched") {
  SmallRun s;
  s.config.set("optimizer", "muon");  // which counts and keeps most of all
  // A whole run first, to see how many calls there are.
  const auto whole = s.trainer("whole", Device::cuda), plain = s.trainer("plain", Device::cuda);
  plain->use_cuda_graph(false);
  for (int i = 0; i < 7; ++i) {
    whole->step();
    plain->step();
  }
  CHECK(whole->replays());
  const int64_t calls = emulate::recorded_calls();
  for (const int64_t at : {int64_t{0}, calls / 2, calls - 1}) {
    emulate::fail_recording_at(at);
    const auto broken = s.trainer("broken", Device::cuda);
    for (int i = 0; i < 7; ++i) broken->step();
    CHECK_FALSE(broken->replays());
    CHECK_MESSAGE(same_weights(broken->model(), plain->model()), at);
  }
  emulate::fail_recording_at(-1);
}
#endif

TEST_CASE("cuda: training follows the CPU, and a run moves between the devices") {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    SmallRun s;
    s.config.model.dtype = dtype;
    s.config.model.num_heads = 1;  // heads of 16: tensor cores
    const auto cpu = s.trainer("cpu"), cuda = s.trainer("cuda", Device::cuda);
    CHECK(same_weights(cpu->model(), cuda->model()));  // the same start
    for (int i = 0; i < 4; ++i) {
      cpu->step();
      cuda->step();
    }
    // Against how far training has come. Updates follow signs, so gradients near 0 differ most.
    const auto start = s.trainer("start");
    const auto apart = [&](const Trainer& a, const Trainer& b) {
      return weight_difference(a.model(), b.model()) / weight_difference(start->model(), a.model());
    };
    const double tolerance = dtype == DType::f64 ? 1e-10 : dtype == DType::f32 ? 1e-3 : 0.1;
    CHECK(apart(*cpu, *cuda) < tolerance);
    // Both devices go on from what the other wrote.
    const std::atomic<bool> stop{true};
    TrainCallbacks one_step;
    one_step.stop = [] { return true; };
    cpu->run(one_step);
    cuda->run(one_step);
    const auto to_cuda = s.trainer("cpu", Device::cuda), to_cpu = s.trainer("cuda");
    to_cuda->resume();
    to_cpu->resume();
    CHECK(same_weights(to_cuda->model(), cpu->model()));
    CHECK(same_weights(to_cpu->model(), cuda->model()));
    to_cuda->step();
    to_cpu->step();
    CHECK(apart(*to_cuda, *to_cpu) < 2 * tolerance);
  }
}
#endif

TEST_CASE("a value that is not finite masks the update and stops the run, on every device") {
  SmallRun s;
  s.config.train.ema = 0;
  for (const Device device : devices()) {
    const auto trainer = s.trainer("nan", device);
    for (int i = 0; i < 4; ++i) trainer->step();
    // Poison one weight: the loss of the next step is NaN.
    const NamedTensors state = trainer->model().state_dict();
    Tensor poisoned = find(state, "lm_head.weight")->slice(0, 0, 1).slice(1, 0, 1);
    poisoned.copy_from(full({1, 1}, NAN));
    const NamedTensors before = [&] {
      NamedTensors copy;
      for (const auto& [name, t] : state) copy.emplace_back(name, t.clone());
      return copy;
    }();
    trainer->step();
    for (size_t i = 0; i < state.size(); ++i) {
      const Tensor now = state[i].second.to(Device::cpu), then = before[i].second.to(Device::cpu);
      CHECK_MESSAGE(std::memcmp(now.data(), then.data(), now.nbytes()) == 0, state[i].first);
    }
    // A GPU is two steps ahead of the host.
    if (device == Device::cuda) trainer->step();
    expect_error([&] { trainer->step(); }, "the loss was not finite in step 5");
    expect_error([&] { trainer->step(); }, "the loss was not finite in step 5");
  }
}

TEST_CASE("training ends once two evaluations in a row are good enough") {
  const TempDir dir;
  std::string csv = "inputs,labels,split,puzzle\n";  // whatever the input is, the answer is 2 2 2 2
  for (int i = 0; i < 30; ++i)
    csv += fmt::format("{} {} {} {},2 2 2 2,{},\n", 1 + i % 2, 1 + i / 2 % 2, 1 + i / 4 % 2,
                       1 + i / 8 % 2, i % 5 == 0 ? "test" : "train");
  build_tokens_text(csv, "constant.csv", dir / "data", false);
  const PuzzleDataset train = open_dataset(dir / "data", "train");
  const PuzzleDataset test = open_dataset(dir / "data", "test");
  Config config = preset("sudoku4");
  make_tiny(config.model, 16);
  config.model.seq_len = train.info().seq_len;
  config.model.vocab_size = train.info().vocab_size;
  config.model.num_puzzle_identifiers = train.info().num_puzzle_identifiers;
  TrainConfig& t = config.train;
  t.batch_size = 8;
  t.total_steps = 2000;
  t.lr = 1e-3;
  t.lr_warmup_steps = 0;
  t.eval_every = 2;
  t.eval_puzzles = 2;
  t.final_eval_puzzles = 0;
  t.early_stop_accuracy = 1;
  const auto trainer = [&] { return std::make_unique<Trainer>(config, train, &test, dir / "run"); };
  fs::create_directories(dir / "run");
  write_file_atomically(dir / "run" / "config.json", config.to_json().dump());

  const auto run = trainer();
  CHECK(run->run({}) == TrainOutcome::early_stopped);
  CHECK(run->reason_to_stop() == "the last two evaluations solved 100.0 % and 100.0 %");
  const std::vector<Json> evaluations = read_metrics(dir / "run").eval;
  const auto accuracy = [&](size_t from_end) {
    return evaluations.at(evaluations.size() - from_end).at("exact_accuracy").get<double>();
  };
  CHECK(accuracy(1) == 1);
  CHECK(accuracy(2) == 1);
  REQUIRE(evaluations.size() > 2);
  CHECK(accuracy(3) < 1);
  // The evaluation of the end takes all puzzles.
  CHECK(evaluations.back().at("puzzles") == test.num_examples());
  CHECK(evaluations.at(evaluations.size() - 2).at("puzzles") == 2);

  const auto resumed = trainer();
  resumed->resume();
  CHECK(resumed->finished());
  CHECK(resumed->run({}) == TrainOutcome::early_stopped);
  CHECK(resumed->steps_done() == run->steps_done());
  // The goal counts that the resumed run has, whatever the one of before was.
  config.train.early_stop_accuracy = 0;
  const auto longer = trainer();
  longer->resume();
  CHECK_FALSE(longer->finished());
}

TEST_CASE("a goal that is set later is not reached by the evaluations of before") {
  SmallRun s;
  s.config.train.eval_every = 1;
  s.config.train.total_steps = 4;
  s.config.train.lr = 0;  // solves nothing
  CHECK(s.trainer("run")->run({}) == TrainOutcome::finished);
  s.config.train.total_steps = 6;
  s.config.train.early_stop_accuracy = 0.5;
  const auto resumed = s.trainer("run");
  resumed->resume();
  CHECK_FALSE(resumed->finished());
  CHECK(resumed->run({}) == TrainOutcome::finished);
  CHECK(resumed->steps_done() == 6);
}

TEST_CASE("early stop, stop requests and the last checkpoints") {
  SmallRun s;
  s.config.train.eval_every = 1;
  s.config.train.early_stop = 2;
  s.config.train.total_steps = 50;
  s.config.train.lr = 0;
  CHECK(s.trainer("early")->run({}) == TrainOutcome::early_stopped);
  s.config.train.early_stop = 0;
  TrainCallbacks callbacks;
  callbacks.stop = [] { return true; };
  const auto trainer = s.trainer("stopped");
  CHECK(trainer->run(callbacks) == TrainOutcome::stopped);
  CHECK(trainer->steps_done() == 1);
  CHECK(list_checkpoints(s.dir / "stopped").size() == 1);
  s.config.train.total_steps = 12;
  s.config.train.keep_checkpoints = 1;
  s.trainer("kept")->run({});
  CHECK(list_checkpoints(s.dir / "kept").size() == 1);
  CHECK(list_checkpoints(s.dir / "kept")[0].filename() == "step_00000012");
}

TEST_CASE("evaluation depends on no batch, halting runs fewer segments, on every device") {
  SmallRun s;
  for (const Device device : devices()) {
    const auto trainer = s.trainer("eval", device);
    for (int i = 0; i < 6; ++i) trainer->step();
    EvalOptions options;
    options.traces = 2;
    const EvalResult all = evaluate(trainer->model(), *s.test, options);
    CHECK(all.count == 30);
    CHECK(all.mean_steps == 3);
    CHECK(all.traces.size() == 2);
    CHECK(all.traces[0].predictions.size() == 3);
    for (const int64_t batch : {1, 7, 30}) {
      options.batch_size = batch;
      const EvalResult again = evaluate(trainer->model(), *s.test, options);
      CHECK(again.exact_by_segment == all.exact_by_segment);
      CHECK(again.accuracy == doctest::Approx(all.accuracy).epsilon(1e-12));
    }
    options.segments = 5;  // more than trained
    CHECK(evaluate(trainer->model(), *s.test, options).exact_by_segment.size() == 5);
    options.segments = 1;
    CHECK(evaluate(trainer->model(), *s.test, options).mean_steps == 1);
    // A threshold that every row passes at once, and one that none does.
    options.segments = 0;
    options.halting = true;
    options.batch_size = 7;
    options.threshold = -1e9;
    const EvalResult early = evaluate(trainer->model(), *s.test, options);
    CHECK(early.mean_steps == 1);
    CHECK(early.count == 30);
    CHECK(early.halt_histogram[1] == 30);
    CHECK(early.exact_accuracy == all.exact_by_segment[0]);
    options.threshold = 1e9;
    CHECK(evaluate(trainer->model(), *s.test, options).mean_steps == 3);
  }
}

TEST_CASE("an empty split, a puzzle of another size, a place in the data that cannot be") {
  const SmallRun s(0);
  Random random(1);
  const Model model(s.config.model, &random);
  expect_error([&] { evaluate(model, *s.test, {}); },
               "[eval] the data set has no examples in this split");
  expect_error(
      [&] {
        solve_one(model, {1, 2, 3}, 0, {});
      },
      "[solve] the model takes 16 tokens, got 3");
  TrainSampler sampler(*s.train, 1, nullptr);
  RowQueue queue(sampler, 4, s.config.model, 1, zeros({1}, DType::i32));
  Json state = queue.state();
  for (const Json& skip : {Json(-1), Json(1 << 20), Json("3"), Json(1.5)}) {
    state["skip"] = skip;
    expect_error([&] { queue.restore(state); }, "'skip' must be a whole number in 0..");
  }
  // Three rows into what the queue was filled with, it goes on with the fourth.
  queue.prepare();
  queue.taken(3);
  state = queue.state();
  CHECK(state["skip"] == 3);
  TrainSampler whole(*s.train, 1, nullptr), another(*s.train, 1, nullptr);
  RowQueue resumed(another, 4, s.config.model, 1, zeros({1}, DType::i32));
  resumed.restore(state);
  resumed.prepare();
  CHECK(resumed.rows().inputs.slice(0, 0, 4).to_vector() ==
        whole.next(8).inputs.slice(0, 3, 7).to_vector());
}

TEST_CASE("a run that does not fit is refused before it starts") {
  Config c = preset("hrm-27m");
  c.train.batch_size = 1 << 20;
  expect_error([&] { check_fits(estimate(c, "/tmp")); }, "of memory");
  const Estimate first = estimate(c, "/tmp");
  c.train.batch_size = first.fitting_batch;
  Estimate advised = estimate(c, "/tmp");
  advised.available_bytes = first.available_bytes;  // other programs take and give back
  check_fits(advised);
  CHECK(batch_after_failure(c, "/tmp", Device::cpu) <= c.train.batch_size / 2);
  c.train.batch_size = 8;
  const Estimate e = estimate(c, "/tmp");
  CHECK(e.flops_per_sample == doctest::Approx(35.8e9).epsilon(0.03));
  CHECK(e.memory_bytes > 4e8);
  CHECK(e.memory_bytes < 4e9);
  // A rule that multiplies more often takes longer, in the same memory.
  c.model.gradient = "neumann:4";
  const Estimate longer = estimate(c, "/tmp");
  CHECK(longer.flops_per_sample > 1.5 * e.flops_per_sample);
  CHECK(longer.memory_bytes == e.memory_bytes);
}

TEST_CASE("the report holds what happened, and says what is missing") {
  SmallRun s;
  const Path run = s.folder("report");
  CHECK(render_report(run).find("No training steps are recorded yet") != std::string::npos);
  s.trainer("report")->run({});
  std::ofstream(run / "metrics.jsonl", std::ios::app) << "{\"step\": 13, \"loss\"";  // cut off
  Json config = read_json(run / "config.json");
  config["command"] = "hrm <b>&";
  config["task"] = {{"task", "sudoku"}, {"side", 4}, {"box_rows", 2}, {"box_cols", 2}};
  write_file_atomically(run / "config.json", config.dump());
  write_report(run);
  const std::string html = read_file(run / "report.html");
  for (const char* part :
       {"<h2>Training</h2>", "Solved exactly after each segment", "Where the rule says halt",
        "Solved exactly against q_halt", "hrm &lt;b&gt;&amp;", "30</b>", "Puzzles being refined"})
    CHECK_MESSAGE(html.find(part) != std::string::npos, part);
  size_t charts = 0;
  for (size_t at = 0; (at = html.find("<svg class=\"chart\"", at)) != std::string::npos; ++at)
    ++charts;
  CHECK(charts == 5);
  CHECK(html.find("://") == std::string::npos);  // nothing from the network
  const EvalResult r = eval_result_from_json(read_json(run / "evaluation.json"), "x");
  CHECK(to_json(eval_result_from_json(to_json(r), "x")) == to_json(r));
  expect_error(
      [] {
        eval_result_from_json({{"count", "many"}}, "e.json");
      },
      "[json] e.json: 'count' must be a whole number");
  expect_error([&] { render_report(s.dir / "nowhere"); }, "is not a run folder");
}
