#include "hrm/tasks/arc_dataset.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

namespace hrm {

ArcExamples::ArcExamples(ArcData data, const std::string& split, const DataView& view,
                         const ArcExamples* other)
    : data_(std::move(data)),
      training_(split == "train"),
      conditioning_(view.conditioning),
      context_pairs_(view.context_pairs) {
  if (!view.tasks.empty()) keep_tasks(data_.tasks, view.tasks);
  if (view.variants) data_.variants = *view.variants;
  if (view.kinds) data_.kinds = ArcKinds::parse(*view.kinds);
  if (view.seed) data_.seed = *view.seed;
  moves_pool_ = !training_ && view.kinds && data_.kinds.translation;
  const int needed = smallest_canvas(data_.tasks);
  side_ = data_.canvas ? data_.canvas : needed;
  CHECK(needed <= side_, "[arc] a grid of side ", needed, " does not fit a canvas of ", side_);
  const int64_t tasks = std::ssize(data_.tasks);
  if (other) {
    variants_ = other->variants_;
    CHECK(std::ssize(*variants_) == tasks, "[arc] the splits have not the same tasks");
  } else {
    Variants variants(tasks);
#pragma omp parallel for schedule(dynamic)
    for (int64_t t = 0; t < tasks; ++t)
      variants[t] = arc_variants(data_.tasks[t], data_.variants, data_.kinds, data_.seed);
    variants_ = std::make_shared<const Variants>(std::move(variants));
  }
  first_example_ = {0}, first_id_ = {1};  // id 0 is blank
  for (int64_t t = 0; t < tasks; ++t) {
    const ArcTask& task = data_.tasks[t];
    const auto count = num_variants(t);
    pool_.push_back(view.pool < 0 ? count : std::min(count, view.pool + 1));
    pairs_.push_back(training_ ? training_pairs(task)
                               : (task.evaluated ? task.test : std::vector<ArcPair>()));
    const auto pairs = static_cast<int64_t>(pairs_.back().size());
    first_example_.push_back(first_example_.back() + pool_.back() * pairs);
    first_id_.push_back(first_id_.back() + (conditioning_ == Conditioning::variant ? count : 1));
  }
  CHECK(first_id_.back() <= std::numeric_limits<int32_t>::max(), "[arc] ", first_id_.back(),
        " variants of tasks are more than a table of 32-bit ids can hold. HINT: fewer variants");
}

ArcExamples::ArcExamples(const PuzzleDataset& official)
    : training_(false),
      moves_pool_(false),
      conditioning_(Conditioning::variant),
      context_pairs_(0) {
  const DatasetInfo& info = official.info();
  side_ = static_cast<int>(std::lround(std::sqrt(static_cast<double>(info.seq_len))));
  CHECK(side_ * side_ == info.seq_len && info.vocab_size == kArcVocab &&
            !official.puzzle_name(0).empty(),
        "[arc] ", official.folder().string(),
        " is no ARC data set. HINT: `hrm data arc` makes one; the official ones have an "
        "identifiers.json");
  first_example_ = {0};
  first_id_ = {1};  // id 0 is blank
  Variants all_variants;
  std::vector<int32_t> inputs(info.seq_len), labels(info.seq_len);
  for (int64_t g = 0; g < official.num_groups(); ++g) {
    ArcTask task;
    std::vector<ArcVariant> variants;
    for (int64_t p = official.group(g).first; p < official.group(g).second; ++p) {
      const auto [first, last] = official.puzzle(p);
      CHECK(p == official.group(g).first || last - first == std::ssize(task.test), "[arc] ",
            official.folder().string(), ": the variants of a task (group ", g,
            ") have not the same number of examples");
      for (int64_t e = first; e < last; ++e) {
        int32_t id;
        official.read(e, inputs.data(), labels.data(), &id);
        const auto [name, variant] = parse_variant_name(official.puzzle_name(id));
        if (e == first) variants.push_back(variant);
        if (variants.size() > 1) break;
        task.id = name;
        check_task_id(name, official.folder().string() + ": identifiers.json");
        // Grids are rectangles: the first colour is their corner, for input and output alike.
        const auto at = std::ranges::find_if(inputs, [](int t) { return t >= 2; });
        const auto corner = static_cast<int>(at - inputs.begin());
        const auto grid = [&, &v = variant](const std::vector<int32_t>& tokens) {
          return v.undo(crop(tokens.data(), side_, corner / side_, corner % side_));
        };
        task.test.push_back({grid(inputs), grid(labels)});
      }
    }
    const int64_t n = std::ssize(variants);
    pool_.push_back(n);
    first_example_.push_back(first_example_.back() + n * std::ssize(task.test));
    first_id_.push_back(first_id_.back() + n);
    pairs_.push_back(task.test), all_variants.push_back(std::move(variants));
    data_.tasks.push_back(std::move(task));
  }
  variants_ = std::make_shared<const Variants>(std::move(all_variants));
}

int64_t ArcExamples::input_len() const {
  return side_ * side_ + extra_inputs(conditioning_, context_pairs_, side_ * side_);
}

int64_t ArcExamples::num_ids() const {
  const bool table = conditioning_ == Conditioning::variant || conditioning_ == Conditioning::task;
  return table ? first_id_.back() : 1;
}

std::string ArcExamples::id_name(int64_t id) const {
  CHECK(id >= 0 && id < num_ids(), "[arc] there is no puzzle id ", id, ", only 0..", num_ids() - 1);
  if (id == 0) return "<blank>";
  const int64_t t =
      std::upper_bound(first_id_.begin(), first_id_.end(), id) - first_id_.begin() - 1;
  return variant(t, id - first_id_[t]).name(data_.tasks[t].id);
}

void ArcExamples::boundaries(std::vector<int64_t>& puzzles, std::vector<int64_t>& groups) const {
  for (size_t t = 0; t < pairs_.size(); ++t) {
    if (pairs_[t].empty()) continue;
    for (int64_t v = 0; v < pool_[t]; ++v)
      puzzles.push_back(puzzles.back() + std::ssize(pairs_[t]));
    groups.push_back(std::ssize(puzzles) - 1);
  }
}

ArcExamples::Where ArcExamples::where(int64_t example) const {
  const auto next = std::upper_bound(first_example_.begin(), first_example_.end(), example);
  const int64_t task = next - first_example_.begin() - 1, rest = example - first_example_[task];
  const int64_t pairs = std::ssize(pairs_[task]);
  return {task, rest / pairs, rest % pairs};
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

void ArcExamples::read(int64_t example, int32_t* inputs, int32_t* labels,
                       int32_t* puzzle_id) const {
  const Where w = where(example);
  const ArcVariant& v = variant(w.task, w.variant);
  const ArcPair pair = v.apply(pairs_[w.task][w.pair]);
  const auto [row, col] = offset(example);
  encode_grid(pair.input, side_, row, col, inputs);
  // Moved with its input, an output may leave the canvas: then it cannot be compared.
  const bool fits = row + pair.output.height <= side_ && col + pair.output.width <= side_;
  encode_grid(fits ? pair.output : ArcGrid{}, side_, row, col, labels);
  std::replace(labels, labels + side_ * side_, 0, static_cast<int32_t>(kIgnoreLabel));
  int32_t* extra = inputs + side_ * side_;
  *puzzle_id = 0;
  switch (conditioning_) {
    case Conditioning::variant:
      *puzzle_id = static_cast<int32_t>(first_id_[w.task] + w.variant);
      break;
    case Conditioning::task:
      *puzzle_id = static_cast<int32_t>(first_id_[w.task]);
      *extra++ = v.dihedral;
      for (int c = 1; c <= 9; ++c) *extra++ = 9 * (c - 1) + v.colours[c] - 1;
      break;
    case Conditioning::context:
      read_context(w, extra);
      break;
    case Conditioning::blank:
      break;
  }
}

// Demonstrations under the variant of the example, which is not among them itself; repeated where
// there are fewer than the model takes.
void ArcExamples::read_context(const Where& w, int32_t* tokens) const {
  const std::vector<ArcPair>& all = data_.tasks[w.task].train;
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

Augmentation ArcExamples::augmentation() const {
  if (!data_.kinds.translation) return nullptr;
  return [side = side_](int32_t* inputs, int32_t* labels, bool first, Random& random) {
    // Drawn for every example, so that the stream does not depend on which is first.
    const uint64_t down = random.bits(), right = random.bits();
    if (first) return;
    int height = 0, width = 0;
    for (int i = 0; i < side * side; ++i)
      if (inputs[i] >= 2 || labels[i] >= 2)
        height = std::max(height, i / side + 1), width = std::max(width, i % side + 1);
    const int row = static_cast<int>(down % (side - height + 1));
    const int col = static_cast<int>(right % (side - width + 1));
    // A grid that ended at the edge of the canvas has no EOS there, one that is moved away has.
    const auto move = [&](int32_t* tokens, int32_t pad) {
      const ArcGrid grid = crop(tokens, side);
      encode_grid(grid, side, row, col, tokens);
      std::replace(tokens, tokens + side * side, 0, pad);
    };
    move(inputs, 0), move(labels, kIgnoreLabel);
  };
}

std::vector<ArcTask> official_tasks(const Path& folder) {
  std::map<std::string, ArcTask> tasks;
  for (const std::string split : {"train", "test"}) {
    const ArcExamples examples(PuzzleDataset(folder, split));
    for (const ArcTask& found : examples.tasks()) {
      ArcTask& task = tasks[found.id];
      task.id = found.id, task.set = (folder / split).string();
      std::vector<ArcPair>& pairs = split == "test" ? task.test : task.train;
      pairs.insert(pairs.end(), found.test.begin(), found.test.end());
    }
  }
  std::vector<ArcTask> list;
  for (auto& [name, task] : tasks)
    task.evaluated = !task.test.empty(), list.push_back(std::move(task));
  return list;
}

}  // namespace hrm
