// Any text as the config.json of a run, and as settings, one a line: what is accepted is valid, and
// the same when it is written and read again.
#include <nlohmann/json.hpp>

#include "hrm/config.h"
#include "hrm/support/text.h"
#include "tests/fuzz/fuzz.h"

using namespace hrm;

void fuzz_one(const std::string& input) {
  fuzz::try_to([&] {
    const Config config = Config::from_json(parse_json(input, "fuzz"), "fuzz");
    config.validate();
    fuzz::must(Config::from_json(config.to_json(), "again").to_json() == config.to_json());
  });
  Config config;
  for (const Line& line : lines_of(input))
    fuzz::try_to([&] { config.set_from(std::string(line.text)); });
  for (const Difference& d : differences(Config(), config)) may_change_on_resume(d.key);
  fuzz::try_to([&] {
    config.validate();
    config.model.input_len();
  });
}
