// What a checkpoint of a training holds, and how a run starts from one or from other weights.
#include <limits>

#include "hrm/support/text.h"
#include "hrm/train/trainer.h"

namespace hrm {

Json Trainer::state() const {
  Json state = {{"step", steps_},
                {"samples", samples_},
                {"elapsed", elapsed_},
                {"window_started", window_started_},
                {"window_steps", window_steps_},
                {"best", best_},
                {"best_step", best_step_},
                {"evaluations_since_best", evaluations_since_best_},
                {"recent_accuracies", recent_},
                {"evaluation_due", evaluation_due_},
                {"metrics_bytes", ranks_.is_first() ? files_.metrics_bytes() : 0},
                {"data", data_identity_},
                {"test_data", test_identity_},
                {"config", config_.to_json()}};
  learner_->add_state(state);
  return state;
}

Checkpoint Trainer::snapshot() const {
  Checkpoint c;
  c.model = module().state_dict(kOfficialPrefix);
  c.puzzle_names = puzzle_names_;
  c.training = learner_->training_tensors();
  c.training.emplace_back("window", window_.sums());
  c.state = state();
  return c;
}

// The settings that have changed since the checkpoint. An Error if it is of another run: its data
// set is another one, or a setting that may not change has.
std::vector<Difference> Trainer::check_same_run(const Members& state) const {
  // A setting that did not exist yet had its default.
  const Config saved = Config::from_json(state.object("config").json(), state.source());
  const std::vector<Difference> changes = differences(saved, config_);
  for (const Difference& d : changes)
    HRM_CHECK(may_change_on_resume(d.key), "[resume] the checkpoint was made with ", d.key, " = ",
              d.old_value, ", not ", d.new_value,
              ". HINT: use another run folder for another configuration");
  HRM_CHECK(
      state.text("data", "") == data_identity_, "[resume] the data set in ",
      train_.folder().string(),
      " is not the one that the run was trained on. HINT: --data names the folder where that one "
      "is now; `hrm train --init ",
      files_.path().string(), " --run NEW` starts a new run from the weights");
  return changes;
}

void Trainer::restore(const Checkpoint& c, const Members& state, std::vector<std::string>& notes) {
  learner_->module().load_state_dict(c.model, kOfficialPrefix);
  learner_->restore(c.training, state, notes);
  load_saved(c.training, "window", window_.sums());
  constexpr int64_t kMost = int64_t{1} << 50;  // they are still counted up, and multiplied
  constexpr double kLargest = std::numeric_limits<double>::max();
  steps_ = state.integer("step", 0, kMost);
  samples_ = state.integer("samples", 0, kMost);
  elapsed_ = state.number("elapsed", 0, kLargest);
  window_started_ = state.number("window_started", 0, kLargest);
  window_steps_ = state.integer("window_steps", 0, kMost);
  best_ = state.number("best", -kLargest, kLargest);
  best_step_ = state.integer("best_step", 0, kMost);
  evaluations_since_best_ = state.integer("evaluations_since_best", 0, kMost);
  recent_.clear();
  if (state.has("recent_accuracies")) recent_ = state.numbers("recent_accuracies", 0, 1);
  evaluation_due_ = state.flag("evaluation_due");
  const std::string test_before = state.text("test_data", "");
  if (!test_before.empty() && !test_identity_.empty() && test_before != test_identity_)
    notes.push_back(
        "the test split is not the one of before: the scores from here on do not compare with "
        "those before, and neither does the best");
  const int64_t bytes = state.integer("metrics_bytes", 0, kMost);
  if (ranks_.is_first()) files_.cut_metrics(bytes);
}

int64_t Trainer::start_from(const Module& model, const std::vector<uint64_t>& names) {
  NamedTensors weights = model.state_dict(kOfficialPrefix);
  const std::string table = std::string(kOfficialPrefix) + "puzzle_emb.weights";
  if (!has_puzzle_table()) std::erase_if(weights, [&](const auto& w) { return w.first == table; });
  int64_t found = 0;
  for (auto& [name, tensor] : weights) {
    if (name != table) continue;
    if (!names.empty() && !puzzle_names_.empty()) {
      tensor = match_puzzle_rows(tensor, names, puzzle_names_, &found);
      continue;
    }
    const int64_t rows = config_.model.num_puzzle_identifiers;
    HRM_CHECK(
        tensor.size(0) == rows, "[init] the other run has ", tensor.size(0),
        " puzzle rows, this one ", rows,
        ", and they have no names by which to find each other. HINT: train on a data set of the "
        "same puzzles, or with puzzle_emb_ndim=0");
    found = rows - 1;
  }
  learner_->module().load_state_dict(weights, kOfficialPrefix);
  check_same_weights();
  started_from_ = true;
  return found;
}

Resumed Trainer::resume() {
  const RunFiles::Newest newest = files_.newest_checkpoint();
  Resumed resumed;
  resumed.damaged = newest.damaged;
  const Members state(newest.checkpoint.state, (newest.folder / "state.json").string());
  resumed.changes = check_same_run(state);
  try {
    restore(newest.checkpoint, state, resumed.notes);
  } catch (const Error& error) {
    throw with_place(error, newest.folder.string());
  }
  check_same_weights();
  HRM_CHECK(steps_ <= config_.train.total_steps, "[resume] ", files_.path().string(), " has made ",
            steps_, " steps already, more than ", config_.train.total_steps, ". HINT: --steps ",
            steps_, " or more");
  resumed_ = true;
  Json changed;
  for (const Difference& d : resumed.changes)
    changed[d.key] = {Json::parse(d.old_value), Json::parse(d.new_value)};
  if (!changed.empty() && ranks_.is_first())
    files_.append_metrics({{"changed", changed}, {"step", steps_}});
  return resumed;
}

}  // namespace hrm
