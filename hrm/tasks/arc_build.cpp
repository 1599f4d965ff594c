#include "hrm/tasks/arc_build.h"

#include <algorithm>

#include "hrm/data/dataset_writer.h"
#include "hrm/tasks/arc_files.h"

namespace hrm {

namespace {

// The tasks that `build` asks for.
ArcData chosen_tasks(const ArcBuild& build, ArcSummary& summary) {
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
  HRM_CHECK(!data.tasks.empty() || !summary.too_large, "[arc] no task is left: ", summary.too_large,
            " do not fit a canvas of ", data.canvas, ". HINT: a larger --canvas");
  HRM_CHECK(!data.tasks.empty(), "[arc] no task is left. HINT: ",
            build.only_evaluation ? "--only evaluation keeps tasks of a folder \"evaluation\" alone"
                                  : "--without leaves out the tasks that it names");
  return data;
}

void count(const ArcData& data, const ArcExamples& train, const ArcExamples& test,
           ArcSummary& summary) {
  for (size_t t = 0; t < data.tasks.size(); ++t) {
    const auto variants = static_cast<int64_t>(train.num_variants(t)) - 1;
    summary.variants += variants;
    summary.short_of += variants < data.variants;
    ++(data.tasks[t].evaluated ? summary.evaluated : summary.training);
  }
  summary.train_examples = train.num_examples();
  summary.test_examples = test.num_examples();
  summary.side = train.side();
}

// All variants as arrays. Of each variant's training pairs all but one are moved on the canvas.
void write_official(DatasetWriter& writer, const ArcExamples& train, const ArcExamples& test,
                    Random random, const ProgressCallback& on_progress) {
  const Augmentation translate = train.task().augmentation();
  int64_t done = 0;
  for (const ArcExamples* split : {&train, &test}) {
    ArcExamples::Where last{-1, -1, -1};
    int64_t untranslated = 0;
    for (int64_t i = 0; i < split->num_examples(); ++i) {
      const ArcExamples::Where w = split->where(i);
      const bool same = w.task == last.task && w.variant == last.variant;
      if (!same) untranslated = random.below(static_cast<int64_t>(split->pairs(w.task).size()));
      Example e = split->read(i);
      if (split == &train && translate)
        translate(e.inputs.data(), e.labels.data(), w.pair == untranslated, random);
      writer.add(split == &train ? "train" : "test", e.inputs, e.labels, w.task, e.puzzle_id, same);
      last = w;
      if (on_progress) on_progress(++done, train.num_examples() + test.num_examples());
    }
  }
}

}  // namespace

ArcSummary build_arc(const ArcBuild& build, const Path& out) {
  ArcSummary summary;
  const ArcData data = chosen_tasks(build, summary);
  const std::string text = arc_data_text(data);
  const ArcExamples train(data, "train", {}), test(data, "test", {}, &train);
  count(data, train, test, summary);
  DatasetInfo info;
  info.seq_len = train.side() * train.side();
  info.vocab_size = kArcVocab;
  info.ignore_label_id = 0;
  info.num_puzzle_identifiers = train.info().num_puzzle_identifiers;
  DatasetWriter writer(out, info, Json::object(), build.replace);
  if (!build.official) {
    writer.finish({}, {{kArcFile, text}});
    return summary;
  }
  write_official(writer, train, test, Random(data.seed).fork("translation"), build.on_progress);
  std::vector<std::string> names;
  for (int64_t id = 0; id < info.num_puzzle_identifiers; ++id)
    names.push_back(train.puzzle_name(id));
  writer.finish(names);
  return summary;
}

}  // namespace hrm
