// A folder of a data set whose files hold any bytes: dataset.json, task.json, identifiers.json and
// the arrays. Whatever opens can be read to its last example, augmented, and taken as ARC.
#include <nlohmann/json.hpp>

#include "hrm/data/sampler.h"
#include "hrm/tasks/arc_dataset.h"
#include "hrm/tasks/open_dataset.h"
#include "tests/fuzz/fuzz.h"

using namespace hrm;

namespace {

const std::vector<std::string> kNames = {kArcFile,
                                         "task.json",
                                         "identifiers.json",
                                         "train/dataset.json",
                                         "train/all__inputs.npy",
                                         "train/all__labels.npy",
                                         "train/all__puzzle_identifiers.npy",
                                         "train/all__puzzle_indices.npy",
                                         "train/all__group_indices.npy"};

void read_all(const PuzzleDataset& data) {
  const DatasetInfo& info = data.info();
  if (data.num_examples() > 1000 || info.num_puzzle_identifiers > 1000) return;
  const Augmentation augment = data.task().augmentation();
  Random random(1);
  for (int64_t i = 0; i < data.num_examples(); ++i) {
    auto [inputs, labels, id] = data.read(i);
    fuzz::must(id >= 0 && id < info.num_puzzle_identifiers);
    data.puzzle_name(id);
    if (augment) augment(inputs.data(), labels.data(), i == 0, random);
    for (int64_t k = 0; k < info.seq_len; ++k) {
      fuzz::must(inputs[k] >= 0 && inputs[k] < info.vocab_size);
      fuzz::must(labels[k] == kIgnoreLabel || (labels[k] >= 0 && labels[k] < info.vocab_size));
    }
  }
  data.puzzle_names();
  if (data.num_examples() > 0) {
    TrainSampler sampler(data, 1, augment);
    sampler.next(3);
    sampler.restore(sampler.state());
  }
  fuzz::must(!data.identity().empty());
  const int64_t rows = data.num_examples() + 1;
  fuzz::must(eval_batch(data, 0, rows).rows == data.num_examples());
}

}  // namespace

void fuzz_one(const std::string& input) {
  const auto files = fuzz::files_of(input);
  const bool compact = files.contains(kArcFile);
  if (!compact && !files.contains("train/dataset.json")) return;
  const fuzz::Folder folder(files, kNames);
  DataView view;
  if (compact) view.variants = 3;  // a million of them take long
  fuzz::try_to([&] {
    const PuzzleDataset data = open_dataset(folder.path(), "train", view);
    read_all(data);
    if (compact) return;
    if (data.info().seq_len > 900 || data.num_examples() > 1000) return;
    const OfficialArc arc(data);
    for (int64_t i = 0; i < arc.num_examples(); ++i) arc.where(i);
  });
  if (const auto state = files.find("state"); state != files.end())
    fuzz::try_to([&] {
      const PuzzleDataset data = open_dataset(folder.path(), "train", view);
      if (data.num_examples() > 1000) return;
      TrainSampler sampler(data, 1, nullptr);
      sampler.restore(parse_json(state->second, "state"));
      sampler.next(3);
    });
}
