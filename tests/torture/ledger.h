// What was tried and what failed.
#pragma once

#include <chrono>

#include "tests/torture/process.h"

namespace hrm::torture {

// Counts the cases of every promise, keeps the files of those that failed, prints the table.
class Ledger {
 public:
  // `failures`: the folder where files of failed cases are kept, made when the first one fails.
  explicit Ledger(Path failures) : failures_(std::move(failures)) {}

  // One case of the promise `what`. An empty `why` is a pass. Of a failure the line is printed and
  // `evidence` (a file or a folder; may be empty) is copied.
  void record(const std::string& what, const std::string& why, const Path& evidence = {});
  void skip(const std::string& what, const std::string& why);
  // Further figures, shown in a line below the table.
  void count(const std::string& what, int64_t n = 1);

  void print_table() const;
  // `N passed, N failed, N skipped`, where a promise with all its cases is one. Whether none
  // failed.
  bool print_summary() const;

 private:
  struct Row {
    std::string what;
    int64_t tried = 0, failed = 0;
    std::string skipped;  // the reason
  };
  Row& row(const std::string& what);
  void keep(const Row& row, const std::string& why, const Path& evidence) const;

  Path failures_;
  std::vector<Row> rows_;  // in the order of their first case
  std::vector<std::pair<std::string, int64_t>> figures_;
};

// A line of progress, flushed at once.
void say(const std::string& line);

}  // namespace hrm::torture
