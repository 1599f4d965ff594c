// hrm/c_api.h: data sets and training.
#include <algorithm>
#include <sstream>

#include <nlohmann/json.hpp>

#include "hrm/c_api/objects.h"
#include "hrm/data/sampler.h"
#include "hrm/lab/bias_meter.h"
#include "hrm/presets.h"
#include "hrm/support/clock.h"
#include "hrm/support/text.h"
#include "hrm/tasks/generated.h"
#include "hrm/tasks/open_dataset.h"
#include "hrm/tasks/sudoku_build.h"
#include "hrm/train/checkpoint.h"
#include "hrm/train/train_step.h"
#include "hrm/train/trainer.h"

using namespace hrm;
using namespace hrm::c_api;

namespace {

std::vector<std::string> words_of(const char* text) {
  std::istringstream words(text ? text : "");
  std::vector<std::string> list;
  for (std::string word; words >> word;) list.push_back(word);
  return list;
}

Config configuration(const char* preset_name, const char* settings, const PuzzleDataset& data) {
  Config config = preset(required(preset_name, "preset"));
  HRM_CHECK(!config.is_lattice(), "[c_api] the preset ", preset_name,
            " is a lattice, which has no segments. HINT: another preset");
  for (const std::string& setting : words_of(settings)) {
    const std::string key = setting.substr(0, setting.find('='));
    for (const char* size : {"seq_len", "vocab_size", "num_puzzle_identifiers"})
      HRM_CHECK(key != size, "[c_api] ", key,
                " is a size of the data set and cannot be set. HINT: leave it out");
    config.set_from(setting);
  }
  HRM_CHECK(config.model.conditioning == Conditioning::variant,
            "[c_api] conditioning must be variant here, got ", to_string(config.model.conditioning),
            ". HINT: `hrm train` knows the others");
  config.data = data.folder().string();
  config.model.seq_len = data.info().seq_len;
  config.model.vocab_size = data.info().vocab_size;
  config.model.num_puzzle_identifiers = data.info().num_puzzle_identifiers;
  config.validate();
  check_dataset_fits(config.model, data);
  return config;
}

// unknown_task() for data that does not say.
std::shared_ptr<const Task> task_of(const PuzzleDataset& data) {
  const Json config = {{"task", data.task().to_json()}};
  return task_of_run(Members(config, "the data set"));
}

// The weights are their averages as long as this lives, if the training keeps any.
class Averaged {
 public:
  explicit Averaged(TrainStep& step) : step_(step) { step_.swap_averages(); }
  ~Averaged() { step_.swap_averages(); }
  Averaged(const Averaged&) = delete;
  Averaged& operator=(const Averaged&) = delete;

 private:
  TrainStep& step_;
};

}  // namespace

struct hrm_training {
  hrm_training(const char* folder, const char* preset_name, const char* settings)
      : train(open_dataset(required(folder, "data"), "train")),
        test(open_dataset(folder, "test", {}, &train)),
        config(configuration(preset_name, settings, train)),
        task(task_of(train)),
        step(config, train, Device::cpu),
        window(step.columns(), Device::cpu),
        measured(train, static_cast<uint64_t>(config.train.seed) + 1,
                 config.train.augment ? train.task().augmentation() : nullptr) {
    check_dataset_fits(config.model, test);
  }

  const Model& model() const { return step.module(); }

  PuzzleDataset train, test;
  Config config;
  std::shared_ptr<const Task> task;
  TrainStep step;
  MetricsWindow window;
  TrainSampler measured;  // rows that gradients are measured on
  bool changing = false;
  int64_t steps = 0, steps_told = 0;
  double seconds = 0, seconds_told = 0;  // of all steps; when they were told of last
  std::string text;                      // what was returned last
};

int hrm_make_data(const char* kind, int32_t side, int32_t count, int32_t test, uint32_t seed,
                  const char* out) {
  return status([&] {
    const std::string name = required(kind, "kind");
    required(out, "out");
    HRM_CHECK(count >= 1 && test >= 0 && test < count,
              "[c_api] of at least 1 puzzle some may be held out, but not all, got ", count,
              " puzzles and ", test, " held out");
    if (name == "sudoku") {
      SudokuBuild build;
      build.rules = SudokuRules::of_side(side);
      build.count = count;
      build.test_count = test;
      build.seed = seed;
      return void(build_sudoku(build, out));
    }
    std::vector<std::string> known = {"sudoku"};
    for (const TaskKind& k : task_kinds()) {
      if (!k.generator) continue;
      known.emplace_back(k.name);
      if (k.name != name) continue;
      const Generator& g = *k.generator;
      HRM_CHECK(side >= g.smallest && side <= g.largest, "[data] the side of ", name,
                " must be from ", g.smallest, " to ", g.largest, ", got ", side);
      GeneratedBuild build;
      build.side = side;
      build.count = count;
      build.test_count = test;
      build.seed = seed;
      return void(build_generated(g, build, out));
    }
    detail::fail("[data] puzzles of kind '", name,
                 "' cannot be generated here. HINT: ", join(known, ", "));
  });
}

hrm_training* hrm_train(const char* data, const char* preset, const char* settings) {
  return guarded<hrm_training*>(nullptr, [&] { return new hrm_training(data, preset, settings); });
}

void hrm_training_free(hrm_training* training) { delete training; }

int hrm_training_run(hrm_training* training, int32_t steps) {
  return status([&] {
    hrm_training& t = object(training);
    HRM_CHECK(steps >= 1, "[c_api] the number of steps must be at least 1, got ", steps);
    Change change(t.changing, "hrm_train begins anew");
    const double started = seconds_now();
    try {
      for (int32_t i = 0; i < steps; ++i) {
        t.step.run(t.steps + 1, t.window);
        ++t.steps;
      }
      t.step.finish();
    } catch (const NotFinite&) {
      change.done();  // nothing was updated from that step on
      throw;
    }
    t.seconds += seconds_now() - started;
    change.done();
  });
}

const char* hrm_training_metrics(hrm_training* training) {
  return guarded<const char*>(nullptr, [&] {
    hrm_training& t = object(training);
    const int64_t rows = t.config.train.step_rows();
    HRM_CHECK(t.steps > t.steps_told,
              "[c_api] there was no step since the last metrics. HINT: hrm_training_run");
    const auto new_rows = static_cast<double>((t.steps - t.steps_told) * rows);
    TrainMetrics line;
    line.step = t.steps;
    line.samples = t.steps * rows;
    line.lr = t.step.lr(t.steps);
    line.elapsed = t.seconds;
    line.samples_per_second = new_rows / std::max(1e-9, t.seconds - t.seconds_told);
    t.window.start(line, new_rows);
    t.text = t.window.finished_line(true)->to_json().dump();
    t.steps_told = t.steps;
    t.seconds_told = t.seconds;
    return t.text.c_str();
  });
}

const char* hrm_training_evaluate(hrm_training* training, int32_t puzzles) {
  return guarded<const char*>(nullptr, [&] {
    hrm_training& t = object(training);
    HRM_CHECK(puzzles >= 0, "[c_api] the number of puzzles must be at least 0, got ", puzzles);
    EvalOptions options;
    options.max_puzzles = puzzles;
    options.allow_nan = true;
    options.halting = t.config.model.halting == Halting::ponder;  // as Trainer does
    const Averaged averaged(t.step);
    EvalResult result = t.step.evaluate(t.test, options);
    result.step = t.steps;
    t.text = to_json(result).dump();
    return t.text.c_str();
  });
}

const char* hrm_training_gradients(hrm_training* training, const char* rules) {
  return guarded<const char*>(nullptr, [&] {
    hrm_training& t = object(training);
    const std::vector<std::string> names = words_of(required(rules, "rules"));
    lab::check_measurable(t.config.model);
    for (const std::string& rule : names) lab::check_rule(rule, t.config.model);
    const int64_t batch = t.config.train.batch_size;
    Carry carry = t.step.carry().gather(arange(batch));
    begin_segment(t.model(), carry, t.measured.next(batch), t.config.train.refill);
    lab::BiasMeter meter(t.model(), carry, 1);
    Json json = {{"step", t.steps}, {"loss", meter.loss()}, {"rules", Json::array()}};
    for (const std::string& rule : names) json["rules"].push_back(meter.measure(rule).to_json());
    t.text = json.dump();
    return t.text.c_str();
  });
}

hrm_model* hrm_training_model(hrm_training* training) {
  return guarded<hrm_model*>(nullptr, [&] {
    hrm_training& t = object(training);
    LoadedRun copy;
    copy.config = t.config;
    copy.task = t.task;
    copy.step = t.steps;
    copy.model = std::make_unique<Model>(t.config.model, nullptr);
    const Averaged averaged(t.step);
    copy.model->load_state_dict(t.model().state_dict(kOfficialPrefix), kOfficialPrefix);
    return new hrm_model(std::move(copy));
  });
}

int hrm_training_puzzle(const hrm_training* training, int32_t number, int32_t* puzzle,
                        int32_t* answer) {
  return status([&] {
    const PuzzleDataset& test = object(training).test;
    HRM_CHECK(test.num_examples() > 0, "[c_api] the data set has no held-out puzzles");
    HRM_CHECK(number >= 0 && number < test.num_examples(), "[c_api] held-out puzzles are 0 to ",
              test.num_examples() - 1, ", got ", number);
    const Example example = test.read(number);
    std::ranges::copy(example.inputs, required(puzzle, "puzzle"));
    std::ranges::copy(example.labels, required(answer, "answer"));
  });
}
