#include "hrm/data/arc_dataset.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

namespace hrm {
namespace {

constexpr int kFormat = 1;

// The demonstrations of a task are trained on, and all of a task that is not evaluated.
std::vector<ArcPair> training_pairs(const ArcTask& task) {
  std::vector<ArcPair> pairs = task.train;
  if (!task.evaluated)
    for (const ArcPair& p : task.test)
      if (!p.output.empty()) pairs.push_back(p);
  return pairs;
}

Json pairs_json(const std::vector<ArcPair>& pairs) {
  Json list = Json::array();
  for (const ArcPair& p : pairs) list.push_back({grid_text(p.input), grid_text(p.output)});
  return list;
}

std::vector<ArcPair> pairs_from_json(const Json& list, const std::string& where) {
  std::vector<ArcPair> pairs;
  for (const Json& p : list) {
    CHECK(p.is_array() && p.size() == 2 && p[0].is_string() && p[1].is_string(), "[arc] ", where,
          " must hold pairs [input, output] of texts, got ", brief(p));
    pairs.push_back({parse_grid_text(p[0].get<std::string>(), where),
                     parse_grid_text(p[1].get<std::string>(), where)});
    CHECK(!pairs.back().input.empty(), "[arc] ", where, " holds a pair without an input");
  }
  return pairs;
}

ArcTask task_from_json(const Members& json) {
  ArcTask task;
  task.id = json.text("id");
  check_task_id(task.id, json.source());
  task.set = json.text("set");
  task.evaluated = json.flag("evaluated");
  const std::string where = json.source() + ": " + task.id;
  task.train = pairs_from_json(json.list("train"), where + ": train");
  task.test = pairs_from_json(json.list("test"), where + ": test");
  return task;
}

}  // namespace

std::string arc_data_text(const ArcData& data) {
  Json json = {{"format", kFormat},         {"canvas", data.canvas},
               {"variants", data.variants}, {"kinds", data.kinds.to_string()},
               {"seed", data.seed},         {"tasks", Json::array()}};
  for (const ArcTask& t : data.tasks)
    json["tasks"].push_back({{"id", t.id},
                             {"set", t.set},
                             {"evaluated", t.evaluated},
                             {"train", pairs_json(t.train)},
                             {"test", pairs_json(t.test)}});
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

ArcData parse_arc_data(const Json& json, const std::string& source) {
  const Members top(json, source);
  CHECK(top.integer("format", 0, std::numeric_limits<int64_t>::max()) == kFormat, "[arc] ", source,
        " was written by another version of hrm. HINT: `hrm data arc` makes it anew");
  ArcData data;
  data.canvas = static_cast<int>(top.integer("canvas", 0, kArcSide));
  data.variants = top.integer("variants", 0, kMostArcVariants);
  data.kinds = ArcKinds::parse(top.text("kinds"));
  data.seed = top.natural("seed");
  std::set<std::string> ids;
  for (const Json& task : top.list("tasks")) {
    data.tasks.push_back(
        task_from_json(Members(task, source + ": task " + std::to_string(data.tasks.size()))));
    CHECK(ids.insert(data.tasks.back().id).second, "[arc] ", source, ": two tasks are named ",
          data.tasks.back().id);
  }
  CHECK(!data.tasks.empty(), "[arc] ", source, " holds no tasks");
  return data;
}

ArcData read_arc_data(const Path& file) { return parse_arc_data(read_json(file), file.string()); }

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

void keep_tasks(std::vector<ArcTask>& tasks, const std::vector<std::string>& names) {
  std::vector<std::string> known;
  for (const ArcTask& t : tasks) known.push_back(t.id);
  for (const std::string& name : names) {
    const std::string close = nearest(name, known);
    CHECK(std::ranges::find(known, name) != known.end(), "[arc] there is no task '", name,
          "' in the data", close.empty() ? "" : ". HINT: did you mean '" + close + "'?");
  }
  std::erase_if(tasks,
                [&](const ArcTask& t) { return std::ranges::find(names, t.id) == names.end(); });
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

ArcSummary build_arc(const ArcBuild& build, const Path& out) {
  ArcSummary summary;
  ArcData data = build.options;
  data.tasks = load_arc(build.from, &summary.repeated);
  if (build.only_evaluation)
    std::erase_if(data.tasks, [](const ArcTask& t) { return !t.evaluated; });
  if (!build.only_tasks.empty()) keep_tasks(data.tasks, build.only_tasks);
  std::erase_if(data.tasks, [&](const ArcTask& t) {
    return std::ranges::find(build.without, t.id) != build.without.end();
  });
  if (data.canvas)
    summary.too_large = static_cast<int64_t>(std::erase_if(
        data.tasks, [&](const ArcTask& t) { return smallest_canvas({t}) > data.canvas; }));
  CHECK(!data.tasks.empty(),
        "[arc] no task is left. HINT: --only evaluation keeps tasks of a "
        "folder \"evaluation\" alone");
  const std::string text = arc_data_text(data);
  const ArcExamples train(data, "train", {}), test(data, "test", {}, &train);
  for (size_t t = 0; t < data.tasks.size(); ++t) {
    const auto count = static_cast<int64_t>(train.num_variants(t)) - 1;
    summary.variants += count;
    summary.short_of += count < data.variants;
    ++(data.tasks[t].evaluated ? summary.evaluated : summary.training);
  }
  summary.train_examples = train.num_examples(), summary.test_examples = test.num_examples();
  summary.side = static_cast<int>(train.side());

  DatasetInfo info;
  info.seq_len = train.side() * train.side(), info.vocab_size = kArcVocab;
  info.ignore_label_id = 0;
  info.num_puzzle_identifiers = train.num_ids();
  DatasetWriter writer(out, info, {}, build.replace);
  if (!build.official) {
    writer.finish({}, {{kArcFile, text}});
    return summary;
  }
  std::vector<std::string> names;
  for (int64_t id = 0; id < train.num_ids(); ++id) names.push_back(train.id_name(id));
  Random random = Random(data.seed).fork("translation");
  const Augmentation translate = train.augmentation();
  std::vector<int> inputs(info.seq_len), labels(info.seq_len);
  int64_t done = 0;
  for (const ArcExamples* split : {&train, &test}) {
    ArcExamples::Where last{-1, -1, -1};
    int64_t untranslated = 0;
    for (int64_t i = 0; i < split->num_examples(); ++i) {
      const ArcExamples::Where w = split->where(i);
      const bool same = w.task == last.task && w.variant == last.variant;
      if (!same) untranslated = random.below(static_cast<int64_t>(split->pairs(w.task).size()));
      int32_t id;
      split->read(i, inputs.data(), labels.data(), &id);
      if (split == &train && translate)
        translate(inputs.data(), labels.data(), w.pair == untranslated, random);
      writer.add(split == &train ? "train" : "test", inputs, labels, w.task, id, same);
      last = w;
      if (build.on_progress)
        build.on_progress(++done, summary.train_examples + summary.test_examples);
    }
  }
  writer.finish(names);
  return summary;
}

ArcAudit audit_arc(const std::vector<ArcTask>& tasks) {
  ArcAudit audit;
  std::map<std::string, std::vector<const ArcTask*>> trained_pairs;
  std::map<std::string, const ArcTask*> trained_tasks;
  std::set<ArcGrid> outputs;
  for (const ArcTask& t : tasks) {
    if (!t.evaluated) trained_tasks.try_emplace(t.id, &t);
    for (const ArcPair& p : training_pairs(t)) {
      trained_pairs[canonical_pair(p)].push_back(&t);
      outputs.insert(p.output);
    }
  }
  for (const ArcTask& t : tasks) {
    if (!t.evaluated) continue;
    if (const auto found = trained_tasks.find(t.id); found != trained_tasks.end())
      audit.tasks.push_back({t.id, -1, found->second->set});
    for (size_t i = 0; i < t.test.size(); ++i) {
      if (t.test[i].output.empty()) continue;
      ++audit.checked;
      audit.equal_outputs += outputs.contains(t.test[i].output);
      const auto found = trained_pairs.find(canonical_pair(t.test[i]));
      if (found == trained_pairs.end()) continue;
      std::set<std::string> named;
      for (const ArcTask* other : found->second)
        if (named.insert(other->id).second)
          audit.pairs.push_back({t.id, static_cast<int64_t>(i), other->id});
    }
  }
  return audit;
}

}  // namespace hrm
