// Puzzles of which only the tokens are known: no rules, no symmetries, shown as rows of numbers.
//
//     const TokensTask task;
//     task.text({3, 1, 2});   // "3 1 2"
#pragma once

#include <nlohmann/json.hpp>

#include "hrm/data/task.h"

namespace hrm {

class TokensTask : public Task {
 public:
  // `kind`: "tokens", or "" if the data does not say.
  explicit TokensTask(std::string kind = "tokens") : kind_(std::move(kind)) {}
  static std::shared_ptr<const Task> make(const Members&) { return std::make_shared<TokensTask>(); }

  std::string kind() const override { return kind_; }
  Json to_json() const override { return {{"task", kind_}}; }
  int64_t cells() const override { return 0; }
  bool fits(int64_t, int64_t) const override { return true; }
  const char* noun() const override { return "tokens"; }
  // Whole numbers with blanks, commas or line ends between them.
  Tokens parse(std::string_view text) const override;

 private:
  std::string kind_;
};

}  // namespace hrm
