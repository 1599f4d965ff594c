// Text that comes from files and from the command line: taken apart, and made safe to show.
//
//     const std::string text = read_file("puzzles.txt");   // tensor/io.h
//     for (const Line& line : lines_of(text)) show(line.number, printable(line.text));
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/types.h"

namespace hrm {

// `text` as a terminal may show it: one line, and nothing in it that a terminal would obey. Control
// characters, bytes that are no UTF-8 and the marks that turn the direction of writing become
// escapes such as \x1b. Text without any of these is returned as it is.
std::string printable(std::string_view text);

bool is_utf8(std::string_view text);

struct Line {
  int64_t number;  // from 1
  std::string_view text;
};
// Lines of `text`, as views of it, without their ends; empty ones and those that start with '#' are
// left out.
std::vector<Line> lines_of(const std::string& text);
std::vector<std::string_view> split(std::string_view line, char separator);
// The fields of a CSV line: separated by commas, and quoted ("a, ""b""") where they hold one.
// Errors name `where`.
std::vector<std::string> csv_fields(std::string_view line, const std::string& where);

// "a, b, c"
std::string join(const std::vector<std::string>& parts, std::string_view separator);

// The candidate closest to `word` by edit distance, or "" if none is near.
std::string nearest(const std::string& word, const std::vector<std::string>& candidates);
// "a, b or c"
std::string alternatives(const std::vector<std::string>& words);
// The end of an error: ". HINT: did you mean 'x'?" with the nearest candidate, or "".
std::string did_you_mean(const std::string& word, const std::vector<std::string>& candidates);

// The same error with a hint of what to do, behind the one it may have.
Error with_hint(const Error& error, const std::string& hint);
// The same error with the place it is about, unless it names that itself.
// An error as it is shown: harmless, and no longer than a person reads, whatever a file holds.
std::string one_line(const std::string& message);
Error with_place(const Error& error, const std::string& place);

}  // namespace hrm
