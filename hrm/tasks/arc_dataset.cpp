#include "hrm/tasks/arc_dataset.h"

#include <algorithm>
#include <limits>
#include <map>
#include <span>

#include "hrm/tasks/open_dataset.h"

namespace hrm {

ArcIndex::Where ArcIndex::where(int64_t example) const {
  const auto next = std::upper_bound(first_example_.begin(), first_example_.end(), example);
  const int64_t task = next - first_example_.begin() - 1, rest = example - first_example_[task];
  const int64_t pairs = std::ssize(pairs_[task]);
  return {task, rest / pairs, rest % pairs};
}

void ArcIndex::add_examples(int64_t variants, std::vector<ArcPair> pairs) {
  pool_.push_back(variants);
  first_example_.push_back(first_example_.back() + variants * std::ssize(pairs));
  pairs_.push_back(std::move(pairs));
}

ArcExamples::ArcExamples(ArcData data, const std::string& split, const DataView& view,
                         const ArcExamples* other)
    : data_(std::move(data)),
      training_(split == "train"),
      conditioning_(view.conditioning),
      context_pairs_(view.context_pairs),
      task_(1) {
  if (!view.tasks.empty()) keep_tasks(data_.tasks, view.tasks);
  if (view.variants) data_.variants = *view.variants;
  if (view.kinds) data_.kinds = ArcKinds::parse(*view.kinds);
  if (view.seed) data_.seed = *view.seed;
  tasks_ = std::move(data_.tasks);
  moves_pool_ = !training_ && view.kinds && data_.kinds.translation;
  const int needed = smallest_canvas(tasks_);
  side_ = data_.canvas ? data_.canvas : needed;
  HRM_CHECK(needed <= side_, "[arc] a grid of side ", needed, " does not fit a canvas of ", side_);
  const int64_t tasks = std::ssize(tasks_);
  if (other) {
    variants_ = other->variants_;
    HRM_CHECK(std::ssize(*variants_) == tasks, "[arc] the splits have not the same tasks");
  } else {
    Variants variants(tasks);
#pragma omp parallel for schedule(dynamic)
    for (int64_t t = 0; t < tasks; ++t)
      variants[t] = arc_variants(tasks_[t], data_.variants, data_.kinds, data_.seed);
    variants_ = std::make_shared<const Variants>(std::move(variants));
  }
  for (int64_t t = 0; t < tasks; ++t) {
    const ArcTask& task = tasks_[t];
    const int64_t count = num_variants(t);
    add_examples(view.pool < 0 ? count : std::min(count, view.pool + 1),
                 training_        ? training_pairs(task)
                 : task.evaluated ? task.test
                                  : std::vector<ArcPair>());
    first_id_.push_back(first_id_.back() + (conditioning_ == Conditioning::variant ? count : 1));
  }
  HRM_CHECK(
      first_id_.back() <= std::numeric_limits<int32_t>::max(), "[arc] ", first_id_.back(),
      " variants of tasks are more than a table of 32-bit ids can hold. HINT: fewer variants");
  task_ = ArcGrids(side_, data_.kinds.translation);
  set_sizes();
}

// The sizes of the data set, and the boundaries of puzzles (variants) and groups (tasks).
void ArcExamples::set_sizes() {
  for (size_t t = 0; t < pairs_.size(); ++t) {
    if (pairs_[t].empty()) continue;
    for (int64_t v = 0; v < pool_[t]; ++v)
      puzzle_begin_.push_back(puzzle_begin_.back() + std::ssize(pairs_[t]));
    group_begin_.push_back(std::ssize(puzzle_begin_) - 1);
  }
  const int64_t cells = side_ * side_, puzzles = std::ssize(puzzle_begin_) - 1;
  input_len_ = cells + extra_inputs(conditioning_, context_pairs_, cells);
  info_.seq_len = cells;
  info_.vocab_size = kArcVocab;
  const bool table = conditioning_ == Conditioning::variant || conditioning_ == Conditioning::task;
  info_.num_puzzle_identifiers = table ? first_id_.back() : 1;
  info_.total_groups = std::ssize(group_begin_) - 1;
  info_.mean_puzzle_examples =
      puzzles ? static_cast<double>(num_examples()) / static_cast<double>(puzzles) : 1;
}

std::string ArcExamples::puzzle_name(int64_t id) const {
  HRM_CHECK(id >= 0 && id < info_.num_puzzle_identifiers, "[arc] there is no puzzle id ", id,
            ", only 0..", info_.num_puzzle_identifiers - 1);
  if (id == 0) return "<blank>";
  const int64_t t =
      std::upper_bound(first_id_.begin(), first_id_.end(), id) - first_id_.begin() - 1;
  return variant(t, id - first_id_[t]).name(tasks_[t].id);
}

std::string ArcExamples::checksums() const {
  std::string text;
  const auto add = [&](std::span<const std::byte> bytes) {
    text += std::to_string(checksum(bytes)) + " ";
  };
  ArcData whole = data_;
  whole.tasks = tasks_;
  const std::string tasks = arc_data_text(whole);
  add(std::as_bytes(std::span(tasks)));
  add(std::as_bytes(std::span(puzzle_begin_)));
  add(std::as_bytes(std::span(group_begin_)));
  add({});  // the ids of puzzles follow from the tasks
  return text;
}

std::pair<int, int> ArcExamples::offset(int64_t example) const {
  if (!moves_pool_) return {0, 0};
  const Where w = where(example);
  const ArcGrid& input = pairs_[w.task][w.pair].input;
  const ArcGrid turned = dihedral_transform(input, variant(w.task, w.variant).dihedral);
  Random random = Random(data_.seed).fork("offset").fork(static_cast<uint64_t>(example));
  const auto row = random.below(side_ - turned.height + 1);
  return {static_cast<int>(row), static_cast<int>(random.below(side_ - turned.width + 1))};
}

Example ArcExamples::read(int64_t i) const {
  const Where w = where(i);
  const ArcVariant& v = variant(w.task, w.variant);
  const ArcPair pair = v.apply(pairs_[w.task][w.pair]);
  const auto [row, col] = offset(i);
  Example example{Tokens(input_len_), Tokens(info_.seq_len)};
  encode_grid(pair.input, side_, row, col, example.inputs.data());
  // Moved with its input, an output may leave the canvas: then it cannot be compared.
  const bool fits = row + pair.output.height <= side_ && col + pair.output.width <= side_;
  encode_grid(fits ? pair.output : ArcGrid{}, side_, row, col, example.labels.data());
  std::ranges::replace(example.labels, 0, static_cast<int32_t>(kIgnoreLabel));
  int32_t* extra = example.inputs.data() + info_.seq_len;
  switch (conditioning_) {
    case Conditioning::variant:
      example.puzzle_id = static_cast<int32_t>(first_id_[w.task] + w.variant);
      break;
    case Conditioning::task:
      example.puzzle_id = static_cast<int32_t>(first_id_[w.task]);
      *extra++ = v.dihedral;
      for (int c = 1; c <= 9; ++c) *extra++ = 9 * (c - 1) + v.colours[c] - 1;
      break;
    case Conditioning::context:
      read_context(w, extra);
      break;
    case Conditioning::blank:
      break;
  }
  return example;
}

// Demonstrations under the variant of the example, which is not among them itself; repeated where
// there are fewer than the model takes.
void ArcExamples::read_context(const Where& w, int32_t* tokens) const {
  const std::vector<ArcPair>& all = tasks_[w.task].train;
  std::vector<const ArcPair*> others;
  for (size_t i = 0; i < all.size(); ++i)
    if (!training_ || static_cast<int64_t>(i) != w.pair) others.push_back(&all[i]);
  for (int64_t k = 0; k < context_pairs_; ++k) {
    const size_t at = others.empty() ? 0 : static_cast<size_t>(w.pair + k) % others.size();
    const ArcPair pair = others.empty() ? ArcPair{} : variant(w.task, w.variant).apply(*others[at]);
    for (const ArcGrid* grid : {&pair.input, &pair.output}) {
      encode_grid(*grid, side_, 0, 0, tokens);
      tokens += side_ * side_;
    }
  }
}

const ArcExamples* arc_examples(const PuzzleDataset& data) {
  return dynamic_cast<const ArcExamples*>(&data.examples());
}

OfficialArc::OfficialArc(const PuzzleDataset& official) {
  const DatasetInfo& info = official.info();
  side_ = square_side(info.seq_len);
  HRM_CHECK(side_ * side_ == info.seq_len && info.vocab_size == kArcVocab &&
                !official.puzzle_name(0).empty(),
            "[arc] ", official.folder().string(),
            " is no ARC data set. HINT: `hrm data arc` makes one; the official ones have an "
            "identifiers.json");
  Variants all_variants;
  for (int64_t group = 0; group < official.num_groups(); ++group) {
    std::vector<ArcVariant> variants;
    tasks_.push_back(read_task(official, group, variants));
    add_examples(std::ssize(variants), tasks_.back().test);
    all_variants.push_back(std::move(variants));
  }
  variants_ = std::make_shared<const Variants>(std::move(all_variants));
}

// A group holds the variants of one task: the pairs are taken back out of the first one.
ArcTask OfficialArc::read_task(const PuzzleDataset& official, int64_t group,
                               std::vector<ArcVariant>& variants) const {
  ArcTask task;
  const auto [first_puzzle, last_puzzle] = official.group(group);
  for (int64_t p = first_puzzle; p < last_puzzle; ++p) {
    const auto [first, last] = official.puzzle(p);
    HRM_CHECK(p == first_puzzle || last - first == std::ssize(task.test), "[arc] ",
              official.folder().string(), ": the variants of a task (group ", group,
              ") have not the same number of examples");
    for (int64_t e = first; e < last; ++e) {
      const Example example = official.read(e);
      const auto [name, variant] = parse_variant_name(official.puzzle_name(example.puzzle_id));
      if (e == first) variants.push_back(variant);
      if (variants.size() > 1) break;
      task.id = name;
      check_task_id(name, official.folder().string() + ": identifiers.json");
      // Grids are rectangles: the first colour is their corner, for input and output alike.
      const auto at = std::ranges::find_if(example.inputs, [](int t) { return t >= 2; });
      const auto corner = static_cast<int>(at - example.inputs.begin());
      const auto grid = [&, &v = variant](const Tokens& tokens) {
        return v.undo(crop(tokens.data(), side_, corner / side_, corner % side_));
      };
      task.test.push_back({grid(example.inputs), grid(example.labels)});
    }
  }
  return task;
}

std::vector<ArcTask> official_tasks(const Path& folder) {
  std::map<std::string, ArcTask> tasks;
  for (const std::string split : {"train", "test"}) {
    const OfficialArc examples(open_dataset(folder, split));
    for (const ArcTask& found : examples.tasks()) {
      ArcTask& task = tasks[found.id];
      task.id = found.id;
      task.set = (folder / split).string();
      std::vector<ArcPair>& pairs = split == "test" ? task.test : task.train;
      pairs.insert(pairs.end(), found.test.begin(), found.test.end());
    }
  }
  std::vector<ArcTask> list;
  for (auto& [name, task] : tasks) {
    task.evaluated = !task.test.empty();
    list.push_back(std::move(task));
  }
  return list;
}

}  // namespace hrm
