// A part of the work of a farm. Several programs, on one machine or on many, write into one folder:
// each does its own shard, and whoever reads the results reads those of all.
//
//     const Shard shard = *Shard::parse("2/4");              // the second of four
//     for (int64_t i = 0; i < std::ssize(tasks); ++i)
//       if (shard.has(i)) append_json_line(shard.results("farm"), work(tasks[i]));
//     for (const Path& file : results_of_all("farm")) show(results_text(file));
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tensor/io.h"

namespace hrm {

struct Shard {
  int64_t index = 1, count = 1;  // the index-th of so many

  // "2/4"; nothing if the text is no shard.
  static std::optional<Shard> parse(const std::string& text);

  bool is_whole() const { return count == 1; }
  // Whether the work with this number, from 0, belongs to it. Neighbours belong to different
  // shards, because they often take equally long.
  bool has(int64_t work) const { return work % count == index - 1; }
  std::string text() const;  // "2/4"

  // Where it writes: FOLDER/results.jsonl, or FOLDER/results.2-of-4.jsonl.
  Path results(const Path& folder) const;
  // What it holds while it works (FolderLock), so that nobody else does the same: FOLDER, or
  // FOLDER/shards/2-of-4.
  Path lock(const Path& folder) const;
};

// The files with results in a folder: results.jsonl, where there is one, then those of all shards.
std::vector<Path> results_of_all(const Path& folder);
// What such a file holds. It is read, not mapped: somebody may be writing to it, and may cut off
// what he could not write whole.
std::string results_text(const Path& file);
// For a message: "FOLDER/results.jsonl", or "FOLDER/results.*" where there are several.
std::string results_name(const Path& folder);

}  // namespace hrm
