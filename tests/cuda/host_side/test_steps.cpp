// Recorded training steps of whole models, as a GPU would be asked for them: nothing in them that a
// GPU refuses, and the list of what they queue.
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>

#include "autograd/grad_mode.h"
#include "hrm/data/dataset_writer.h"
#include "hrm/gradient_rule.h"
#include "hrm/presets.h"
#include "hrm/tasks/open_dataset.h"
#include "hrm/train/trainer.h"
#include "tests/cuda/host_side/stand_in.h"

#undef CHECK
#include <doctest/doctest.h>

using namespace hrm;
using stand_in::device;

namespace {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/hrm_host_side_XXXXXX";
    path_ = mkdtemp(name);
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  fs::path operator/(const char* name) const { return path_ / name; }

 private:
  fs::path path_;
};

PuzzleDataset random_dataset(const fs::path& folder, const ModelConfig& model) {
  DatasetInfo info;
  info.seq_len = model.seq_len;
  info.vocab_size = model.vocab_size;
  DatasetWriter writer(folder, info, Json::object(), false);
  Random random(3);
  for (int i = 0; i < 16; ++i) {
    std::vector<int> inputs(model.seq_len), labels(model.seq_len);
    for (int& v : inputs) v = static_cast<int>(random.below(model.vocab_size));
    for (int& v : labels) v = static_cast<int>(random.below(model.vocab_size - 1)) + 1;
    writer.add("train", inputs, labels, i);
  }
  writer.finish();
  return open_dataset(folder, "train");
}

// A model in training, on the stand-in.
class Run {
 public:
  explicit Run(const Config& config)
      : data_(random_dataset(folder_ / "data", config.model)),
        trainer_(config, data_, nullptr, folder_ / "run", Device::cuda) {}
  void steps(int count) {
    for (int i = 0; i < count; ++i) trainer_.step();
  }
  bool replays() const { return trainer_.replays(); }
  void evaluate() { hrm::evaluate(trainer_.model(), data_, {}); }

 private:
  Folder folder_;
  PuzzleDataset data_;
  Trainer trainer_;
};

Config config_of(const std::string& preset_name, int64_t seq_len, int64_t vocab, int64_t batch) {
  Config config = preset(preset_name);
  config.model.seq_len = seq_len;
  config.model.vocab_size = vocab;
  config.model.dtype = DType::bf16;
  config.train.batch_size = batch;
  config.train.augment = false;
  return config;
}

// A model of one layer in each network with one head, in steps of 4 puzzles.
Config small_config() {
  Config config = config_of("hrm-27m", 16, 6, 4);
  config.model.hidden_size = config.model.puzzle_emb_ndim = 64;
  config.model.num_heads = 1;
  config.model.H_layers = config.model.L_layers = 1;
  return config;
}

// Enough of them for a step to be recorded, and replayed a few times.
constexpr int kSteps = 8;

// What a GPU would have refused, a line each, the first few.
std::string violations() {
  constexpr size_t kMost = 5;
  const std::vector<std::string>& all = device().violations;
  std::string text;
  for (size_t i = 0; i < std::min(all.size(), kMost); ++i) text += all[i] + '\n';
  if (all.size() > kMost) text += "and " + std::to_string(all.size() - kMost) + " more";
  return text;
}

// The nodes of the last recording whose name begins like this.
int64_t nodes(const std::string& name) {
  return std::ranges::count_if(device().graph,
                               [&](const auto& node) { return node.name.starts_with(name); });
}

// How often each node occurs, a line each.
std::string node_list() {
  std::map<std::string, int> counts;
  for (const auto& node : device().graph) ++counts[node.name];
  std::ostringstream out;
  out << device().graph.size() << " nodes\n";
  for (const auto& [name, count] : counts) {
    out.width(5);
    out << count << ' ' << name << '\n';
  }
  return out.str();
}

std::string read(const fs::path& path) {
  std::ifstream file(path);
  REQUIRE_MESSAGE(file.good(), "run the tests from the root of the repository");
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

// What one step of these models asks of a GPU stands in a file, so that a change of it is seen.
TEST_CASE("the nodes of recorded steps are those of the list") {
  const Config steps[] = {config_of("hrm-27m", 81, 11, 768), config_of("hrm-27m", 900, 12, 96),
                          config_of("trm-5m", 81, 11, 768),
                          config_of("transformer-27m", 81, 11, 768)};
  std::ostringstream found;
  for (const Config& config : steps) {
    device() = {};
    Run run(config);
    run.steps(kSteps);
    CHECK(run.replays());
    CHECK(violations() == "");
    found << "== " << config.preset << ", " << config.model.seq_len << " positions, batch "
          << config.train.batch_size << ", " << to_string(config.model.dtype) << ": "
          << node_list();
  }
  const fs::path list = "tests/cuda/host_side/steps.txt";
  const fs::path now = fs::read_symlink("/proc/self/exe").string() + ".steps";
  std::ofstream(now) << found.str();
  const bool same = found.str() == read(list);
  CHECK_MESSAGE(same, "the recorded steps have changed. Look at:  diff ", list.string(), " ",
                fs::relative(now).string(),
                "  and copy the new list there if it is what you meant.");
}

TEST_CASE("every gradient rule is recorded, with the updates that it says") {
  // One layer in each network: an update is one attention. A step has 6 updates of the segment
  // (2 cycles of 2 L and 1 H), 6 of the next one for its target, and what a rule computes again.
  struct Updates {
    std::string rule;
    int forward, backward;
  };
  const Updates table[] = {
      {"one_step", 12, 2},     {"last_k:4", 12, 4},      {"last_cycle", 12, 3},
      {"full_bptt", 12, 6},    {"checkpointed", 18, 6},  // all again
      {"neumann:1", 12, 4},  // a product with the Jacobian of a cycle's 2 last updates each
      {"neumann:4", 12, 10},   {"phantom:0.5:4", 12, 8},  // 4 terms of 2
      {"damped:0.5:4", 20, 8},                            // 4 further updates of 2
      {"anderson:8", 12, 18},                             // 8 products and the gradient itself
      {"broyden:8", 12, 18},
  };
  size_t known = 0;
  for (const GradientRuleInfo& rule : gradient_rules()) known += rule.measured.size();
  CHECK(std::size(table) == known);
  for (const Updates& row : table) {
    CAPTURE(row.rule);
    Config config = small_config();
    config.model.gradient = row.rule;
    device() = {};
    Run run(config);
    run.steps(kSteps);
    CHECK(run.replays());
    CHECK(violations() == "");
    CHECK(nodes("attention_mma_short_kernel") == row.forward);
    CHECK(nodes("attention_mma_short_backward_kernel") == row.backward);
  }
}

TEST_CASE("every kind of step is one that a GPU accepts") {
  const std::string settings[] = {"dtype=f32",
                                  "dtype=f64",
                                  "num_heads=4",
                                  "levels=shared",
                                  "mlp_t=true",
                                  "puzzle_emb_ndim=0",
                                  "pos_encodings=learned",
                                  "continue_loss=false",
                                  "act=false",
                                  "halting=fixed",
                                  "halting=confidence",
                                  "halting=ponder",
                                  "step_signal=true",
                                  "input_once=true",
                                  "loss=softmax_cross_entropy",
                                  "refill=only_halted",
                                  "unroll_segments=2",
                                  "micro_batches=2",
                                  "batch_size=1",
                                  "optimizer=adamw",
                                  "optimizer=muon",
                                  "clip_norm=1",
                                  "ema=0.99"};
  for (const std::string& setting : settings) {
    CAPTURE(setting);
    Config config = small_config();
    config.set_from(setting);
    device() = {};
    Run run(config);
    run.steps(kSteps);
    CHECK(run.replays());
    CHECK(violations() == "");
    run.evaluate();
    run.steps(2);
    CHECK(violations() == "");
  }
}

TEST_CASE("an evaluation of a whole model is one that a GPU accepts") {
  device() = {};
  Run run(config_of("hrm-27m", 81, 11, 768));
  run.evaluate();
  CHECK(device().queued.size() > 100);
  CHECK(violations() == "");
}

// The memory of a recorded step belongs to it alone: a replay that writes to what another trainer
// gave back is noted.
TEST_CASE("a recorded step keeps its memory when another trainer goes") {
  device() = {};
  Config config = small_config();
  std::optional<Run> leaves(std::in_place, config);
  config.train.batch_size = 6;
  Run stays(config);
  for (int i = 0; i < kSteps; ++i) {
    leaves->steps(1);
    stays.steps(1);
  }
  CHECK(leaves->replays());
  CHECK(stays.replays());
  leaves.reset();
  stays.steps(3);
  CHECK(violations() == "");
}
