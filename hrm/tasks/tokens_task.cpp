#include "hrm/tasks/tokens_task.h"

#include <charconv>

#include "hrm/support/text.h"

namespace hrm {

Tokens TokensTask::parse(std::string_view text) const {
  Tokens tokens;
  const std::string_view between = " ,\t\r\n";
  for (size_t at = text.find_first_not_of(between); at != std::string_view::npos;) {
    const size_t end = std::min(text.size(), text.find_first_of(between, at));
    const std::string_view word = text.substr(at, end - at);
    int32_t value = 0;
    const auto [rest, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    HRM_CHECK(error == std::errc() && rest == word.data() + word.size() && value >= 0,
              "[tokens] number ", tokens.size() + 1, " must be a whole number of at least 0, got '",
              printable(word.substr(0, 20)),
              "'. HINT: a puzzle of this run is a list such as \"1 2 "
              "3\"");
    tokens.push_back(value);
    at = text.find_first_not_of(between, end);
  }
  return tokens;
}

}  // namespace hrm
