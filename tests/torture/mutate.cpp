#include "tests/torture/mutate.h"

#include <algorithm>
#include <limits>

namespace hrm::torture {
namespace {

// Values of other types and of unreasonable sizes, to stand in the place of any other.
const std::vector<Json>& odd_values() {
  static const std::vector<Json> values = [] {
    Json nested = 1;
    for (int i = 0; i < 200; ++i) nested = Json::array({nested});
    return std::vector<Json>{nullptr,
                             true,
                             -1,
                             0,
                             1,
                             100000000,
                             2147483648,
                             std::numeric_limits<int64_t>::max(),
                             std::numeric_limits<int64_t>::min(),
                             std::numeric_limits<uint64_t>::max(),
                             0.5,
                             1e308,
                             -1e308,
                             "",
                             "x",
                             std::string("a\0b", 3),
                             "\x1b]0;title\x07\x1b[2J",
                             "../../x",
                             "/",
                             "%s%n",
                             "<script>",
                             std::string(100000, 'y'),
                             Json::array(),
                             Json::object(),
                             Json::array({Json::array()}),
                             std::vector<int>(50, 1),
                             std::vector<int>(100000, 1),
                             nested};
  }();
  return values;
}

// Every value inside another one.
void collect(Json& json, std::vector<Json*>& parents) {
  if (!json.is_structured() || json.empty()) return;
  parents.push_back(&json);
  for (Json& child : json) collect(child, parents);
}

void change_a_value(Json& json, Random& random) {
  std::vector<Json*> parents;
  collect(json, parents);
  if (parents.empty()) {
    json = random.pick(odd_values());
    return;
  }
  Json& parent = *random.pick(parents);
  const size_t at = random.below(parent.size());
  const auto child = std::next(parent.begin(), static_cast<Json::difference_type>(at));
  const double kind = random.uniform();
  if (kind < 0.15) {
    parent.erase(child);
  } else if (kind < 0.25 && parent.is_array()) {
    const Json copy = *child;
    parent.push_back(copy);
  } else if (kind < 0.3 && parent.is_object()) {
    const Json copy = *child;
    parent["unknown"] = copy;
  } else {
    *child = random.pick(odd_values());
  }
}

std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string damaged_json(const std::string& text, Random& random) {
  Json json = Json::parse(text);
  change_a_value(json, random);
  if (random.chance(0.3)) change_a_value(json, random);
  return text_of(json);
}

std::string damaged_line(const std::string& text, Random& random) {
  std::vector<std::string> lines;
  size_t begin = 0;
  for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
    lines.push_back(text.substr(begin, end - begin));
  std::string& line = lines.at(random.below(lines.size()));
  line = damaged_json(line, random);
  std::string all;
  for (const std::string& each : lines) all += each + "\n";
  return all;
}

std::string damaged_bytes(std::string text, Random& random) {
  const auto place = [&] { return random.below(text.size()); };
  const double kind = random.uniform();
  if (kind < 0.45) {
    text[place()] ^= static_cast<char>(1 << random.below(8));
  } else if (kind < 0.65) {
    for (size_t n = 2 + random.below(5); n > 0; --n)
      text[place()] = static_cast<char>(random.below(256));
  } else if (kind < 0.8) {
    text.resize(place());
  } else if (kind < 0.85) {
    text.clear();
  } else {
    const size_t at = place();
    const size_t length = std::min(text.size() - at, 1 + random.below(30));
    if (random.chance(0.5))
      text.erase(at, length);
    else
      text.insert(at, text.substr(at, length));
  }
  return text;
}

}  // namespace

std::string damaged(const std::string& text, Format format, Random& random) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    std::string changed;
    if (format == Format::json && random.chance(0.5))
      changed = damaged_json(text, random);
    else if (format == Format::json_lines && random.chance(0.5))
      changed = damaged_line(text, random);
    else
      changed = damaged_bytes(text, random);
    if (changed != text) return changed;
  }
  return "";
}

std::string deep_json() {
  constexpr size_t kLevels = 100000;
  return std::string(kLevels, '[') + std::string(kLevels, ']') + "\n";
}

}  // namespace hrm::torture
