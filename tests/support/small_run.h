// A training that takes milliseconds, for tests of runs and their folders.
#pragma once

#include <cmath>
#include <filesystem>
#include <memory>
#include <sstream>
#include <string>

#include "hrm/presets.h"
#include "hrm/tasks/open_dataset.h"
#include "hrm/tasks/sudoku_build.h"
#include "hrm/train/trainer.h"
#include "tests/support/support.h"
#include "tests/support/tiny.h"

namespace hrm::test {

namespace fs = std::filesystem;

// A data set of 4x4 puzzles and a model that trains on it in milliseconds.
struct SmallRun {
  explicit SmallRun(int64_t test_count = 30) {
    build_sudoku(tiny_sudoku(4, 120 + test_count, test_count), dir / "data");
    config = preset("sudoku4");
    config.data = (dir / "data").string();
    make_tiny(config.model, 16);
    config.model.halt_max_steps = 3;
    TrainConfig& t = config.train;
    t.batch_size = 8;
    t.total_steps = 12;
    t.checkpoint_every = 4;
    t.eval_every = 5;
    t.lr_warmup_steps = 3;
    t.eval_puzzles = 16;
    t.ema = 0.9;
    train = std::make_unique<PuzzleDataset>(open_dataset(dir / "data", "train"));
    test = std::make_unique<PuzzleDataset>(open_dataset(dir / "data", "test"));
  }
  Path folder(const std::string& name) const {
    fs::create_directories(dir / name);
    write_file_atomically(dir / name / "config.json", config.to_json().dump());
    return dir / name;
  }
  std::unique_ptr<Trainer> trainer(const std::string& name, Device device = Device::cpu) const {
    return std::make_unique<Trainer>(config, *train, test.get(), folder(name), device);
  }
  TempDir dir;
  Config config;
  std::unique_ptr<PuzzleDataset> train, test;
};

// The sum of all differences of two models' weights.
inline double weight_difference(const Module& a, const Module& b) {
  const NamedTensors x = a.state_dict(), y = b.state_dict();
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const auto u = x[i].second.to_vector(), v = y[i].second.to_vector();
    for (size_t k = 0; k < u.size(); ++k) sum += std::abs(u[k] - v[k]);
  }
  return sum;
}
inline bool same_weights(const Module& a, const Module& b) { return weight_difference(a, b) == 0; }

// Trains in folder `name`, is asked to stop at that line of metrics, and goes on in another
// Trainer.
inline std::unique_ptr<Trainer> cut_and_resumed(const SmallRun& s, const std::string& name,
                                                int64_t line) {
  TrainCallbacks stop;
  stop.stop = [&line] { return --line <= 0; };
  const auto cut = s.trainer(name);
  cut->run(stop);
  CHECK(cut->steps_done() < s.config.train.total_steps);
  auto resumed = std::make_unique<Trainer>(s.config, *s.train, s.test.get(), s.dir / name);
  resumed->resume();
  resumed->run({});
  return resumed;
}

// The lines of metrics.jsonl without the members that depend on the clock.
inline std::string without_times(const std::string& metrics) {
  std::string out;
  std::istringstream lines(metrics);
  for (std::string line; std::getline(lines, line);) {
    Json j = Json::parse(line);
    for (const char* key : {"elapsed", "samples_per_second", "seconds"}) j.erase(key);
    out += j.dump() + "\n";
  }
  return out;
}

}  // namespace hrm::test
