// Any text as JSON and as JSON lines: what is accepted is the same after it was written and read
// again, and no line or member can be taken as what it is not.
#include <nlohmann/json.hpp>

#include "hrm/support/json.h"
#include "hrm/support/text.h"
#include "tests/fuzz/fuzz.h"

using namespace hrm;

void fuzz_one(const std::string& input) {
  fuzz::try_to([&] {
    const Json json = parse_json(input, "fuzz");
    fuzz::must(parse_json(json.dump(), "fuzz") == json);
    fuzz::must(printable(brief(json)) == brief(json));
  });
  fuzz::try_to([&] {
    for_each_line(
        input, "fuzz",
        [](const Json& line, const std::string& where) {
          const Members members(line, where);
          for (const auto& item : line.items()) {
            const std::string key = item.key();
            fuzz::try_to([&] { fuzz::must(members.integer(key, -5, 5) <= 5); });
            fuzz::try_to([&] { fuzz::must(members.number(key, 0, 1) >= 0); });
            fuzz::try_to([&] { members.natural(key); });
            fuzz::try_to([&] { members.numbers(key, -1, 1); });
            fuzz::try_to([&] { members.integers(key, -1, 1); });
            fuzz::try_to([&] { members.flag(key, false); });
            fuzz::try_to([&] { members.text(key, ""); });
            fuzz::try_to([&] { members.object(key); });
          }
        },
        [](const std::string&) {});
  });
  const std::string shown = printable(input);
  fuzz::must(printable(shown) == shown);
  for (const char c : shown) fuzz::must(static_cast<unsigned char>(c) >= ' ' && c != '\x7f');
}
