// Checks of the values of options. What they say when a value does not fit names the range as a
// person would, and the same words stand in the help.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace hrm {

// A whole number from `low` to `high`.
CLI::Validator whole_number(int64_t low, int64_t high = std::numeric_limits<int64_t>::max());
// A finite number from `low` to `high`.
CLI::Validator number_from(double low, double high = std::numeric_limits<double>::max());
// Any finite number.
CLI::Validator finite_number();
// A time above 0, in seconds or with a unit (60s, 5m, 1h); becomes a number of seconds.
CLI::Validator duration();
// One of a few words; the nearest is suggested.
CLI::Validator one_of(const std::vector<std::string>& words);

// For a command and those below it: what names a file, a folder or a preset, and what stands
// without an option, must not be empty, as it is when a script's variable is.
void refuse_empty_names(CLI::App& app);

// "a, b or c"
std::string alternatives(const std::vector<std::string>& words);

// One line for a command line that could not be read: "[eval] there is no option --segment. HINT:
// did you mean --segments?"
// For a request for help it is empty, unless a word before --help names no command.
std::string explain(const CLI::App& app, const CLI::ParseError& error);

}  // namespace hrm
