// Texts out of a file that nobody vouches for, made fit for an error: one short line.
//
//     const std::string name = "data/0";
//     detail::fail("[zip] weights.pt: entry '", shown(name), "' is encrypted");
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace hrm {

// What to do about a file that is not as it was written, and about one of PyTorch that holds more
// than can be read: the ends of errors.
inline constexpr const char* kDamaged = ". HINT: the file is damaged or incomplete; copy it again";
inline constexpr const char* kSaveTensors =
    ". HINT: in Python, torch.save(model.state_dict(), 'weights.pt') saves the tensors alone";

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
