// Training on several ranks: the same bits as on one, whoever computes which micro-batch, and a
// checkpoint from which any number of ranks goes on.
#include <cmath>
#include <cstring>

#include "hrm/tasks/arc_dataset.h"
#include "hrm/train/learner.h"
#include "hrm/train/not_finite.h"
#include "nn/distributed/gradient_sum.h"
#include "tests/support/arc.h"
#include "tests/support/local_job.h"
#include "tests/support/small_run.h"
#ifdef HRM_EMULATE
#include "nn/distributed/nccl_transport.h"
#endif

using namespace hrm;
using namespace hrm::test;

namespace {

// All that a training leaves: weights, moments, averages, states of all slots, sums of metrics.
NamedTensors left_by(const Learner& learner, const MetricsWindow& window) {
  NamedTensors all = learner.training_tensors();
  for (const auto& entry : learner.module().state_dict()) all.push_back(entry);
  all.emplace_back("window", window.sums());
  for (auto& [name, tensor] : all) tensor = tensor.clone().to(Device::cpu);
  return all;
}

// After so many steps.
NamedTensors trained(const Config& config, const PuzzleDataset& data, const Communicator& ranks,
                     int64_t steps, Device device = Device::cpu) {
  const auto learner = make_learner(config, data, device, ranks);
  MetricsWindow window(learner->columns(), device);
  for (int64_t step = 1; step <= steps; ++step) learner->run(step, window);
  learner->finish();
  return left_by(*learner, window);
}

// The name of the first tensor that differs; "" if all have the same bits.
std::string first_difference(const NamedTensors& a, const NamedTensors& b) {
  if (a.size() != b.size()) return "the number of tensors";
  for (size_t i = 0; i < a.size(); ++i) {
    const auto& [name, x] = a[i];
    const Tensor& y = b[i].second;
    if (name != b[i].first || x.shape() != y.shape() || x.dtype() != y.dtype()) return name;
    if (std::memcmp(x.data(), y.data(), x.nbytes()) != 0) return name;
  }
  return "";
}

void expect_same_on_all_ranks(const Config& config, const PuzzleDataset& data, int64_t steps) {
  config.validate();
  const NamedTensors alone = trained(config, data, {}, steps);
  for (const int size : {2, 3, 4}) {
    const auto thrown = run_ranks(size, [&](const Communicator& ranks) {
      CHECK_MESSAGE(first_difference(trained(config, data, ranks, steps), alone) == "",
                    size << " ranks");
    });
    for (const std::string& what : thrown) CHECK(what == "");
  }
}

struct Snapshot {
  int64_t step = 0;
  NamedTensors tensors;  // as left_by() gives them
  Json state = Json::object();
};

// Two more steps behind what was saved.
Snapshot go_on(const Config& config, const PuzzleDataset& data, const Communicator& ranks,
               const Snapshot& saved) {
  const auto learner = make_learner(config, data, Device::cpu, ranks);
  MetricsWindow window(learner->columns(), Device::cpu);
  if (saved.step > 0) {
    std::vector<std::string> notes;
    const auto weights = saved.tensors.end() - 1 - std::ssize(learner->module().state_dict());
    learner->module().load_state_dict(NamedTensors(weights, saved.tensors.end() - 1));
    learner->restore(saved.tensors, Members(saved.state, "the test"), notes);
    window.sums().copy_from(saved.tensors.back().second);
  }
  for (int64_t step = saved.step + 1; step <= saved.step + 2; ++step) learner->run(step, window);
  learner->finish();
  Snapshot now = {saved.step + 2, left_by(*learner, window), Json::object()};
  learner->add_state(now.state);
  return now;
}

Config in_parts(const SmallRun& s) {
  Config config = s.config;
  config.train.micro_batches = 4;
  config.train.batch_size = 10;  // micro-batches of 2 and of 3
  return config;
}

Config lattice_in_parts(const SmallRun& s) {
  Config config = preset("lattice4");
  config.data = s.config.data;
  config.model.hidden_size = 16;
  config.model.num_heads = 2;
  config.model.expansion = 2;
  config.lattice.loops = 2;
  config.lattice.layers = 1;
  config.lattice.dropout = 0.1;
  config.train.batch_size = 10;
  config.train.micro_batches = 4;
  config.train.ema = 0.9;
  return config;
}

// ARC tasks, whose puzzles have a row each in the table.
PuzzleDataset puzzles_with_names() {
  return PuzzleDataset(std::make_shared<ArcExamples>(small_arc_data(3), "train", DataView()));
}

Config of_puzzles(const PuzzleDataset& data) {
  Config config = preset("sudoku4");
  make_tiny(config.model, 16);
  config.model.seq_len = data.info().seq_len;
  config.model.vocab_size = data.info().vocab_size;
  config.model.num_puzzle_identifiers = data.info().num_puzzle_identifiers;
  config.train.batch_size = config.train.micro_batches = 4;
  config.train.puzzle_emb_lr = 0.1;
  return config;
}

}  // namespace

TEST_CASE("ranks: HRM trains to the same bits on 1, 2, 3 and 4 ranks") {
  const SmallRun s;
  for (const Refill refill : {Refill::reference, Refill::only_halted}) {
    Config config = in_parts(s);
    config.train.refill = refill;
    expect_same_on_all_ranks(config, *s.train, 7);
  }
}

TEST_CASE("ranks: so do bf16, Muon, late starts and clipping") {
  const SmallRun s;
  Config config = in_parts(s);
  config.model.dtype = DType::bf16;
  config.train.optimizer = OptimizerKind::muon;
  config.train.late_start_share = 0.5;
  config.train.late_start_updates = 32;
  config.train.clip_norm = 0.5;
  expect_same_on_all_ranks(config, *s.train, 5);
}

TEST_CASE("ranks: so do unrolled segments, and rules that weigh all segments") {
  const SmallRun s;
  Config config = in_parts(s);
  config.train.unroll_segments = 2;
  config.model.gradient = "full_bptt";
  config.train.refill = Refill::only_halted;
  expect_error([&] { config.validate(); }, "with micro_batches 4 needs act=false");
  config.model.act = false;
  expect_same_on_all_ranks(config, *s.train, 5);
  config = in_parts(s);
  config.model.halting = Halting::act;
  config.model.continue_loss = false;
  config.train.unroll_segments = config.model.halt_max_steps;
  expect_same_on_all_ranks(config, *s.train, 3);
}

TEST_CASE("ranks: so do the rows of a puzzle table") {
  const PuzzleDataset data = puzzles_with_names();
  expect_same_on_all_ranks(of_puzzles(data), data, 4);
}

TEST_CASE("ranks: so does a lattice, with its pool") {
  const SmallRun s;
  expect_same_on_all_ranks(lattice_in_parts(s), *s.train, 5);
}

TEST_CASE("ranks: so do gradients that are added up in bf16, to other bits") {
  const SmallRun s;
  Config config = in_parts(s);
  const NamedTensors whole = trained(config, *s.train, {}, 3);
  config.train.bf16_gradients = true;
  CHECK(first_difference(trained(config, *s.train, {}, 3), whole) != "");
  expect_same_on_all_ranks(config, *s.train, 3);
  config.train.micro_batches = 1;
  expect_error([&] { config.validate(); }, "bf16_gradients is about the sum over micro-batches");
}

TEST_CASE(
    "ranks: the quickest sum leaves all ranks the same, and nearly what the exact one leaves") {
  const SmallRun s;
  Config config = in_parts(s);
  config.train.micro_batches = 5;  // of which two ranks have two and three: no tree
  const NamedTensors exact = trained(config, *s.train, {}, 3);
  config.train.fast_sum = true;
  for (const bool bf16 : {false, true}) {
    config.train.bf16_gradients = bf16;
    std::vector<NamedTensors> left(2);
    const auto thrown = run_ranks(2, [&](const Communicator& ranks) {
      left[ranks.rank()] = trained(config, *s.train, ranks, 3);
    });
    for (const std::string& what : thrown) CHECK(what == "");
    CHECK(first_difference(left[0], left[1]) == "");
    CHECK(first_difference(left[0], exact) != "");
    // The sums of metrics, losses among them.
    CHECK(relative_distance(left[0].back().second.to_vector(), exact.back().second.to_vector()) <
          (bf16 ? 3e-2 : 1e-5));
  }
}

TEST_CASE("ranks: on every device, as many ranks as there are, in turn") {
  const SmallRun s;
  const PuzzleDataset puzzles = puzzles_with_names();
  const auto check = [](const Config& config, const PuzzleDataset& data) {
    config.validate();
    for (const Device device : devices()) {
      const NamedTensors alone = trained(config, data, {}, 3, device);
      const auto work = [&](const Communicator& ranks) {
        CHECK(first_difference(trained(config, data, ranks, 3, device), alone) == "");
      };
      for (const std::string& what : run_ranks(3, work, 20, Turns::in_turn)) CHECK(what == "");
#ifdef HRM_EMULATE
      // The same without a way round by the host.
      for (const std::string& what : run_ranks(3, work, 20, Turns::in_turn, connect_gpus_over_nccl))
        CHECK(what == "");
#endif
    }
  };
  check(in_parts(s), *s.train);
  check(of_puzzles(puzzles), puzzles);
  check(lattice_in_parts(s), *s.train);
}

TEST_CASE("ranks: a checkpoint of some ranks is one of any other number") {
  const SmallRun s;
  for (const Config& config : {in_parts(s), lattice_in_parts(s)}) {
    const NamedTensors whole = trained(config, *s.train, {}, 6);
    // Steps 1 and 2 on two ranks, 3 and 4 on one, 5 and 6 on three: puzzles are on their way (they
    // take three).
    Snapshot saved;
    for (const int size : {2, 1, 3}) {
      const Snapshot before = saved;
      const auto thrown = run_ranks(size, [&](const Communicator& ranks) {
        const Snapshot now = go_on(config, *s.train, ranks, before);
        if (ranks.is_first()) saved = now;
      });
      for (const std::string& what : thrown) CHECK(what == "");
    }
    CHECK(saved.step == 6);
    CHECK(first_difference(saved.tensors, whole) == "");
  }
}

TEST_CASE("ranks: a loss that is not finite on one of them stops all, and they say the same") {
  const PuzzleDataset data = puzzles_with_names();
  const Config config = of_puzzles(data);
  const auto failure = [&](const Communicator& ranks) {
    const auto learner = make_learner(config, data, Device::cpu, ranks);
    for (const auto& [name, table] : learner->module().named_buffers())
      if (name == "puzzle_emb.weights")
        table->slice(0, table->size(0) / 2, table->size(0)).fill(NAN);  // of half the puzzles
    MetricsWindow window(learner->columns(), Device::cpu);
    try {
      for (int64_t step = 1; step <= 10; ++step) learner->run(step, window);
      learner->finish();
    } catch (const NotFinite& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const std::string alone = failure({});
  CAPTURE(alone);
  CHECK(alone.find("the loss") != std::string::npos);
  const auto thrown =
      run_ranks(4, [&](const Communicator& ranks) { CHECK(failure(ranks) == alone); });
  for (const std::string& what : thrown) CHECK(what == "");
}

TEST_CASE("ranks: more ranks than micro-batches, and parts that differ, are refused") {
  const SmallRun s;
  const auto thrown = run_ranks(
      2, [&](const Communicator& ranks) { make_learner(s.config, *s.train, Device::cpu, ranks); });
  for (const std::string& what : thrown)
    CHECK(what.find("2 processes share out the micro-batches of a step, and there are 1. HINT: "
                    "--set micro_batches=2") != std::string::npos);

  Parameter a = Parameter::make(zeros({2}), DType::f32),
            b = Parameter::make(zeros({3}), DType::f32);
  GradientSum sum({{"a", &a}, {"b", &b}}, {.parts = 2});
  expect_error([&] { sum.add(0); }, "part 0 has left no gradient");
  a.value.set_grad(full({2}, 1));
  sum.add(0);
  CHECK_FALSE(a.value.grad().defined());
  b.value.set_grad(full({3}, 1));
  expect_error([&] { sum.add(1); }, "part 1 has reached other parameters");
  b.value.set_grad({});
  a.value.set_grad(full({2}, 2));
  sum.add(1);
  sum.finish({});
  CHECK(a.value.grad().to_vector() == std::vector<double>{3, 3});
  CHECK_FALSE(b.value.grad().defined());
}
