// The examples of one split of a data set, wherever they come from: arrays in files
// (array_examples.h), or made when they are read (hrm/tasks/arc_dataset.h).
//
//     const Example example = examples.read(0);
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hrm/config.h"
#include "hrm/data/task.h"

namespace hrm {

// The compact form of an ARC data set is this file in its folder.
inline constexpr const char* kArcFile = "arc.json";

struct DatasetInfo {
  int64_t seq_len = 0, vocab_size = 0;
  int64_t pad_id = 0;
  std::optional<int64_t> ignore_label_id;  // this label is not supervised
  int64_t blank_identifier_id = 0;
  int64_t num_puzzle_identifiers = 1;
  int64_t total_groups = 0;
  double mean_puzzle_examples = 1;
  std::vector<std::string> sets = {"all"};
};

// What a data set is asked for. Only the compact ARC form (hrm/tasks/arc_dataset.h) knows more than
// the conditionings `variant` and `blank`.
struct DataView {
  Conditioning conditioning = Conditioning::variant;
  int64_t context_pairs = 0;       // conditioning `context`: demonstrations in each row
  std::vector<std::string> tasks;  // these alone; empty: all
  // Variants that make examples, besides each task itself; -1: all. They do not change the ids.
  int64_t pool = -1;
  // Other variants than those of the data set.
  std::optional<int64_t> variants;
  std::optional<std::string> kinds;
  std::optional<uint64_t> seed;
};

struct Example {
  Tokens inputs, labels;  // input_len and seq_len tokens; kIgnoreLabel where nothing is supervised
  int32_t puzzle_id = 0;  // row of the puzzle table

  bool operator==(const Example&) const = default;
};

class Examples {
 public:
  virtual ~Examples() = default;

  virtual const DatasetInfo& info() const = 0;
  virtual const Task& task() const = 0;
  // Tokens of an input row: seq_len, and what conditions it (extra_inputs).
  virtual int64_t input_len() const = 0;
  // Whether the rows of the puzzle table have names, and the name of one; "" without.
  virtual bool has_names() const = 0;
  virtual std::string puzzle_name(int64_t id) const = 0;
  // Half-open ranges: puzzle p has the examples puzzle_begin()[p] .. puzzle_begin()[p + 1], group g
  // the puzzles group_begin()[g] .. group_begin()[g + 1]. Both begin with 0.
  virtual const std::vector<int64_t>& puzzle_begin() const = 0;
  virtual const std::vector<int64_t>& group_begin() const = 0;
  virtual Example read(int64_t i) const = 0;
  // The checksums of what the examples are made of, as text.
  virtual std::string checksums() const = 0;
  // Whether the data of both splits is the same, only the examples made of it differ.
  virtual bool holds_both_splits() const { return false; }
};

}  // namespace hrm
