// Any text as the config.json of a run: what is accepted is valid, and the same when it is written
// and read again.
#include "hrm/config.h"
#include "tests/fuzz/fuzz.h"

using namespace hrm;

void fuzz_one(const std::string& input) {
  fuzz::try_to([&] {
    const Config config = Config::from_json(parse_json(input, "fuzz"), "fuzz");
    config.validate();
    fuzz::must(Config::from_json(config.to_json(), "again").to_json() == config.to_json());
  });
  fuzz::try_to([&] {
    Config config;
    config.set_from(input);
    config.validate();
  });
}
