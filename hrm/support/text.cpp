#include "hrm/support/text.h"

#include <algorithm>

#include "kernels/types.h"

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

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const Character c = first_character(text);
    if (c.bytes == 0) return false;
    text.remove_prefix(c.bytes);
  }
  return true;
}

std::vector<Line> lines_of(const std::string& text) {
  std::vector<Line> lines;
  int64_t number = 1;
  // Spreadsheets write a byte order mark first.
  for (size_t at = text.starts_with("\xEF\xBB\xBF") ? 3 : 0; at < text.size(); ++number) {
    size_t end = text.find('\n', at);
    if (end == std::string::npos) end = text.size();
    std::string_view line(text.data() + at, end - at);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (!line.empty() && line[0] != '#') lines.push_back({number, line});
    at = end + 1;
  }
  return lines;
}

std::vector<std::string_view> split(std::string_view line, char separator) {
  std::vector<std::string_view> fields;
  while (true) {
    const size_t at = line.find(separator);
    fields.push_back(line.substr(0, at));
    if (at == std::string_view::npos) return fields;
    line.remove_prefix(at + 1);
  }
}

std::vector<std::string> csv_fields(std::string_view line, const std::string& where) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    const bool pair = quoted && c == '"' && i + 1 < line.size() && line[i + 1] == '"';
    if (c == '"' && !pair) {
      HRM_CHECK(quoted || fields.back().empty(), "[csv] ", where,
                ": a quote may only stand at the start of a field");
      HRM_CHECK(!quoted || i + 1 == line.size() || line[i + 1] == ',', "[csv] ", where,
                ": a comma must follow the closing quote of a field");
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += c;
      if (pair) ++i;  // "" within quotes is one quote
    }
  }
  HRM_CHECK(!quoted, "[csv] ", where, ": a quoted field has no closing quote");
  return fields;
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string text;
  for (const std::string& part : parts) {
    if (&part != &parts.front()) text += separator;
    text += part;
  }
  return text;
}

std::string nearest(const std::string& word, const std::vector<std::string>& candidates) {
  constexpr size_t kLongest = 100;  // a word beyond that is no misspelling, and would take long
  if (word.size() > kLongest) return "";
  std::string best;
  // A word of which every letter differs is no misspelling.
  size_t best_distance = std::min(std::max<size_t>(2, word.size() / 3) + 1, word.size());
  for (const std::string& candidate : candidates) {
    // Levenshtein distance, one row at a time.
    std::vector<size_t> row(candidate.size() + 1);
    for (size_t j = 0; j < row.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= word.size(); ++i) {
      size_t diagonal = row[0];
      row[0] = i;
      for (size_t j = 1; j < row.size(); ++j) {
        const size_t substitute = diagonal + (word[i - 1] != candidate[j - 1]);
        diagonal = row[j];
        row[j] = std::min({substitute, row[j] + 1, row[j - 1] + 1});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

std::string did_you_mean(const std::string& word, const std::vector<std::string>& candidates) {
  const std::string close = nearest(word, candidates);
  return close.empty() ? "" : ". HINT: did you mean '" + close + "'?";
}

Error with_hint(const Error& error, const std::string& hint) {
  const std::string text = error.what();
  return Error(text + (text.find("HINT: ") == std::string::npos ? ". HINT: " : "; ") + hint);
}

std::string one_line(const std::string& message) {
  constexpr size_t kStart = 600, kEnd = 300;  // where the reason and the hint are
  const std::string text = printable(message);
  if (text.size() <= kStart + kEnd) return text;
  return printable(text.substr(0, kStart)) + " ... " + printable(text.substr(text.size() - kEnd));
}

Error with_place(const Error& error, const std::string& place) {
  std::string text = error.what();
  if (text.find(place) != std::string::npos) return error;
  const size_t end = std::min(text.find(". HINT: "), text.size());
  return Error(text.insert(end, ", in " + place));
}

std::string alternatives(const std::vector<std::string>& words) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i)
    text += (i == 0 ? "" : i + 1 < words.size() ? ", " : " or ") + words[i];
  return text;
}

}  // namespace hrm
