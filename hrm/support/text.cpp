#include "hrm/support/text.h"

#include <cstdint>

namespace hrm {
namespace {

struct Character {
  uint32_t code;
  size_t bytes;  // 0: not valid UTF-8
};

// The first character of a text that is not empty.
Character first_character(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || bytes > text.size()) return {0, 0};
  uint32_t code = lead & (0xffu >> (bytes + 1));
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {0, 0};
    code = code << 6 | (byte(i) & 0x3fu);
  }
  // Longer than it need be, half of a surrogate pair, or beyond Unicode.
  const uint32_t smallest = bytes == 2 ? 0x80 : bytes == 3 ? 0x800 : 0x10000;
  if (code < smallest || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff) return {0, 0};
  return {code, bytes};
}

bool obeyed_by_terminals(uint32_t code) {
  const bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
  const bool line_end = code == 0x2028 || code == 0x2029;
  const bool direction = code == 0x200e || code == 0x200f || (code >= 0x202a && code <= 0x202e) ||
                         (code >= 0x2066 && code <= 0x2069);
  return control || line_end || direction;
}

}  // namespace

std::string printable(std::string_view text) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  while (!text.empty()) {
    const Character c = first_character(text);
    const size_t bytes = c.bytes ? c.bytes : 1;
    if (c.bytes && !obeyed_by_terminals(c.code)) {
      out += text.substr(0, bytes);
    } else {
      for (const char b : text.substr(0, bytes)) {
        const auto value = static_cast<unsigned char>(b);
        out += "\\x";
        out += kDigits[value >> 4];
        out += kDigits[value & 15];
      }
    }
    text.remove_prefix(bytes);
  }
  return out;
}

}  // namespace hrm
