#include "tests/torture/stage.h"

#include <stdexcept>

namespace hrm::torture {
namespace fs = std::filesystem;
namespace {

void must(const Words& words) {
  const Result result = run(words);
  if (!result.succeeded())
    throw std::runtime_error("preparing: `" + joined(words) + "` failed, " + result.describe());
}

// An ARC task of 2x2 grids in which the rows' cells change places.
std::string arc_task(int a, int b) {
  const auto pair = [](int x, int y) {
    const std::string first = std::to_string(x), second = std::to_string(y);
    return R"({"input": [[)" + first + "," + second + R"(],[0,1]], "output": [[)" + second + "," +
           first + "],[1,0]]}";
  };
  return R"({"train": [)" + pair(1, 2) + ", " + pair(3, 4) + R"(], "test": [)" + pair(a, b) + "]}";
}

constexpr const char* kExperiment = R"({
 "title": "Loops", "question": "?", "data": {"s": "sudoku --side 4 --count 200 --test 20"},
 "train": "--preset sudoku4",
 "set": {"hidden_size": 16, "puzzle_emb_ndim": 16, "num_heads": 2, "H_layers": 1, "L_layers": 1,
         "batch_size": 8, "total_steps": 12, "eval_every": 6},
 "vary": [{"name": "loops", "path": "set.halt_max_steps", "values": [1, 2]}], "seeds": [0, 1],
 "curve": true,
 "evaluate": {"test": "", "q": {"run": "eval --halt --halt-threshold {t}", "t": [-9, 9]},
              "roll": "eval --rollouts 2 --relabel"},
 "charts": [{"title": "t", "x": "loops", "where": {"segment": null}}],
 "compare": [[{"loops": 1, "evaluation": "test", "segment": null},
              {"loops": 2, "evaluation": "test", "segment": null}]]
}
)";

void make_arc() {
  fs::create_directories("arc/training");
  fs::create_directories("arc/evaluation");
  write_file("arc/training/t1.json", arc_task(5, 5));
  write_file("arc/evaluation/e1.json", arc_task(7, 8));
  write_file("arc/evaluation/e2.json", arc_task(6, 6));
  const Words make = {"data", "arc", "--from", "arc"};
  must(make + Words{"--canvas", "auto", "--variants", "3", "--out", "da"});
  must(make + Words{"--form", "official", "--variants", "2", "--out", "do"});
  must(Words{"train", "--preset", "arc-task", "--data", "da", "--run", "ra", "--steps", "3"} +
       tiny_model() + Words{"--set", "batch_size=8"});
  must({"arc", "predict", "--run", "ra"});
  must(Words{"train", "--preset", "hrm-arc", "--data", "do", "--run", "ro", "--steps", "1"} +
       tiny_model() + Words{"--set", "batch_size=2", "--set", "halt_max_steps=1"});
}

}  // namespace

Words operator+(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

Words tiny_model() {
  return {"--set", "hidden_size=16", "--set", "puzzle_emb_ndim=16", "--set", "num_heads=2",
          "--set", "H_layers=1",     "--set", "L_layers=1"};
}

Words Training::begin(const Path& run) const {
  const auto set = [](const std::string& key, int64_t value) {
    return Words{"--set", key + "=" + std::to_string(value)};
  };
  return Words{"train", "--preset", "sudoku4", "--data", "d4", "--run", run.string()} +
         tiny_model() + set("batch_size", 8) + set("total_steps", steps) +
         set("checkpoint_every", checkpoint_every) + set("eval_every", eval_every) +
         Words{"--set", "ema=0.9", "--set", "halt_max_steps=2"} +
         Words{"--set", "lr=5e-3", "--set", "lr_warmup_steps=5"};
}

Words Training::resume(const Path& run) const { return begin(run) + Words{"--resume"}; }

Words Training::go_on(const Path& run) const {
  return fs::exists(run / "config.json") ? resume(run) : begin(run);
}

double make_stage() {
  // Puzzles so easy that a few steps make the model better: `best` is replaced several times.
  must({"data", "sudoku", "--side", "4", "--count", "400", "--test", "60", "--givens", "13-15",
        "--out", "d4"});
  const double began = now();
  must(kLongTraining.begin("whole") + kOneThread);
  const double seconds = now() - began;
  must(kSavedTraining.begin("base") + kOneThread + Words{"--set", "keep_checkpoints=3"});
  copy_folder("base", "at40");
  fs::remove_all(checkpoint_of("at40", 60));
  must({"export", "base", "--out", "w.safetensors", "--compiled"});
  make_arc();
  write_file("lab.json", kExperiment);
  return seconds;
}

}  // namespace hrm::torture
