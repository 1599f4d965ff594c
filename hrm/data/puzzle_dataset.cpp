#include "hrm/data/puzzle_dataset.h"

#include <span>

#include "hrm/support/text.h"

namespace hrm {

PuzzleDataset::PuzzleDataset(std::shared_ptr<const Examples> examples, Path folder)
    : examples_(std::move(examples)), folder_(std::move(folder)) {}

std::vector<uint64_t> PuzzleDataset::puzzle_names() const {
  if (!examples_->has_names()) return {};
  std::vector<uint64_t> hashes(info().num_puzzle_identifiers);
#pragma omp parallel for
  for (int64_t id = 0; id < info().num_puzzle_identifiers; ++id)
    hashes[id] = name_hash(puzzle_name(id));
  return hashes;
}

std::string PuzzleDataset::identity() const {
  std::string text = examples_->checksums();
  const DatasetInfo& i = info();
  for (const int64_t number :
       {i.seq_len, i.vocab_size, i.pad_id, i.ignore_label_id.value_or(-1), i.blank_identifier_id})
    text += std::to_string(number) + " ";
  text += task().kind();
  return hexadecimal(checksum(std::as_bytes(std::span(text))));
}

}  // namespace hrm
