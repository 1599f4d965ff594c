// Any text as the arc.json of a data set: every example can be read under every conditioning.
#include <nlohmann/json.hpp>

#include "hrm/tasks/arc_audit.h"
#include "hrm/tasks/arc_dataset.h"
#include "tests/fuzz/fuzz.h"

using namespace hrm;

namespace {

void read_all(const ArcData& data, const std::string& split, const DataView& view) {
  const auto examples = std::make_shared<ArcExamples>(data, split, view);
  const PuzzleDataset dataset(examples);
  const int64_t cells = dataset.info().seq_len;
  const Augmentation move = dataset.task().augmentation();
  Random random(1);
  for (int64_t i = 0; i < dataset.num_examples(); ++i) {
    auto [inputs, labels, id] = dataset.read(i);
    fuzz::must(id >= 0 && id < dataset.info().num_puzzle_identifiers);
    if (move) move(inputs.data(), labels.data(), false, random);
    for (int64_t k = 0; k < cells; ++k) {
      fuzz::must(inputs[k] >= 0 && inputs[k] < kArcVocab);
      fuzz::must(labels[k] == kIgnoreLabel || (labels[k] >= 0 && labels[k] < kArcVocab));
    }
  }
  dataset.puzzle_names();
}

}  // namespace

void fuzz_one(const std::string& input) {
  fuzz::try_to([&] {
    ArcData data = parse_arc_data(parse_json(input, "fuzz"), "fuzz");
    const ArcData again = parse_arc_data(parse_json(arc_data_text(data), "again"), "again");
    fuzz::must(arc_data_text(again) == arc_data_text(data));
    if (data.tasks.size() > 4) return;
    data.variants = std::min<int64_t>(data.variants, 3);
    for (const Conditioning c :
         {Conditioning::variant, Conditioning::task, Conditioning::context, Conditioning::blank})
      for (const char* split : {"train", "test"}) {
        DataView view;
        view.conditioning = c;
        view.context_pairs = 2;
        if (c == Conditioning::blank) view.kinds = "all";  // moves the pool
        fuzz::try_to([&] { read_all(data, split, view); });
      }
    audit_arc(data.tasks);
    DataView view;
    for (const std::string& task : {data.tasks[0].id, data.tasks[0].id + "x"}) {
      view.tasks = {task};
      fuzz::try_to([&] { read_all(data, "train", view); });
    }
  });
}
