// Texts out of a file that nobody vouches for, made fit for an error: one short line.
//
//     const std::string name = "data/0";
//     detail::fail("[zip] weights.pt: entry '", shown(name), "' is encrypted");
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace hrm {

// `text` with '?' for each control character, and its middle left out where it is long.
inline std::string shown(std::string_view text) {
  constexpr size_t kStart = 100, kEnd = 40;
  std::string line(text.substr(0, kStart));
  if (text.size() > kStart + kEnd) line += "...";
  if (text.size() > kStart) line += text.substr(std::max(kStart, text.size() - kEnd));
  for (char& c : line)
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';
  return line;
}

}  // namespace hrm
