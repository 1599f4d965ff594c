// Writes data sets in the layout of puzzle_dataset.h.
//
//     DatasetInfo info;
//     info.seq_len = 16;
//     info.vocab_size = 6;
//     DatasetWriter writer("data/mine", info, {{"task", "tokens"}}, false);
//     writer.add("train", inputs, labels, 0);
//     writer.finish();
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "hrm/data/puzzle_dataset.h"
#include "hrm/support/folder_lock.h"

namespace hrm {

// What a data set that was made holds.
struct BuildSummary {
  int64_t train = 0, test = 0;  // examples
  int64_t train_classes = 0, test_classes = 0;
  double mean_rating = 0;
  int64_t dropped = 0;  // duplicates, below min_rating, surplus of test classes, or
                        // left out by subsample_train
};

// Writes a data set as examples come. Nothing is visible under its name before finish().
class DatasetWriter {
 public:
  // Refuses a folder that exists and is not empty, unless `replace` is set and it is a data set.
  // `task`: what task.json holds (Task::to_json), or an empty object for none. `wide`: tokens as
  // i32 (otherwise bytes, if the vocabulary fits).
  DatasetWriter(Path folder, DatasetInfo info, Json task, bool replace, bool wide = false);
  ~DatasetWriter();
  // One example: a puzzle of its own, or, if `same_puzzle`, a further example of the one before.
  // Puzzles in a row with one `group` number share a group. Labels may be kIgnoreLabel.
  void add(const std::string& split, const std::vector<int>& inputs, const std::vector<int>& labels,
           int64_t group, int32_t puzzle_id = 0, bool same_puzzle = false);
  int64_t count(const std::string& split) const;
  // identifiers.json lists the names of the puzzle ids. `files`: further names and texts. A data
  // set that is replaced goes only when the new one is complete; whatever fails, it stays or comes
  // back.
  void finish(const std::vector<std::string>& identifiers = {"<blank>"},
              const std::vector<std::pair<std::string, std::string>>& files = {});

 private:
  struct Split {
    std::unique_ptr<NpyWriter> inputs, labels;
    std::vector<int32_t> puzzle_ids;
    std::vector<int32_t> puzzle_begin, group_begin;  // in examples, in puzzles
    int64_t last_group = -1, examples = 0;
  };
  void open(Split& split, const std::string& name);
  void append(NpyWriter& file, const std::vector<int>& tokens);
  void write_split(const std::string& name, Split& split);
  void check_leftovers() const;
  void check_target(bool replace);
  void check_nothing_else() const;
  bool bring_back();
  void clean_up();

  Path folder_, target_, temporary_;  // as given; its real name; beside it
  DatasetInfo info_;
  Json task_;
  std::optional<FolderLock> lock_;  // of the temporary folder
  bool wide_;
  Split train_, test_;
};

// An Error unless so many examples of seq_len tokens can be stored in `out`. Its hint says
// `smaller`: how to ask for less.
void check_size(double examples, int64_t seq_len, const Path& out, const std::string& smaller);

}  // namespace hrm
