#include "hrm/support/json.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include <nlohmann/json.hpp>

#include "hrm/support/text.h"

namespace hrm {
namespace {

// Makes a Json of the parser's events. The library's own way has no limit of depth, keeps the last
// of two equal keys in silence, and needs quadratic time for an object of many members.
class Builder : public nlohmann::json_sax<Json> {
 public:
  explicit Builder(const std::string& source) : source_(source) {}

  Json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(Json::number_integer_t value) override { return add(value); }
  bool number_unsigned(Json::number_unsigned_t value) override { return add(value); }
  bool number_float(Json::number_float_t value, const std::string&) override { return add(value); }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(Json::binary_t&) override { return false; }  // never in text
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_array() override { return close(); }

  bool key(std::string& name) override {
    members().emplace_back(name, nullptr);
    return true;
  }
  bool end_object() override {
    std::vector<std::string_view> names;
    for (const auto& [name, value] : members()) names.push_back(name);
    std::ranges::sort(names);
    const auto twice = std::ranges::adjacent_find(names);
    HRM_CHECK(twice == names.end(), "[json] ", source_, ": an object has two members '",
              printable(*twice), "'");
    return close();
  }

  bool parse_error(size_t, const std::string&, const nlohmann::json::exception& error) override {
    std::string reason = error.what();  // "[json.exception.parse_error.101] parse error at ..."
    if (const size_t at = reason.find("] "); at != std::string::npos) reason.erase(0, at + 2);
    detail::fail("[json] ", source_, " is not valid JSON: ", reason);
  }

 private:
  Json::object_t& members() { return open_.back()->get_ref<Json::object_t&>(); }

  // Puts the value in its place: the document's root, a list's end, or the newest member.
  Json* put(Json&& value) {
    Json* place = &root_;
    if (!open_.empty() && open_.back()->is_array())
      place = &open_.back()->emplace_back();
    else if (!open_.empty())
      place = &members().back().second;
    *place = std::move(value);
    return place;
  }
  bool add(Json&& value) {
    put(std::move(value));
    return true;
  }
  bool open(Json&& value) {
    HRM_CHECK(open_.size() < kMaxJsonDepth, "[json] ", source_, " is nested more than ",
              kMaxJsonDepth, " levels deep");
    open_.push_back(put(std::move(value)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  const std::string& source_;
  Json root_;
  std::vector<Json*> open_;  // the lists and objects around the next value
};

template <class Number>
std::string range_text(Number low, Number high) {
  std::ostringstream text;
  constexpr Number kHighest = std::numeric_limits<Number>::max();
  if (high == kHighest && low == std::numeric_limits<Number>::lowest()) return "";
  if (high == kHighest)
    text << " of at least " << low;
  else
    text << " in " << low << ".." << high;
  return text.str();
}

bool is_integer(const Json& value, int64_t low, int64_t high) {
  if (!value.is_number_integer()) return false;
  if (value.is_number_unsigned() && !std::in_range<int64_t>(value.get<uint64_t>())) return false;
  return value.get<int64_t>() >= low && value.get<int64_t>() <= high;
}

bool is_number(const Json& value, double low, double high) {
  return value.is_number() && value.get<double>() >= low && value.get<double>() <= high;
}

}  // namespace

Json parse_json(std::string_view text, const std::string& source) {
  HRM_CHECK(text.size() <= kMaxJsonBytes, "[json] ", source, " has ", text.size(),
            " bytes, at most ", kMaxJsonBytes, " are read");
  Builder builder(source);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

Json read_json(const Path& path) {
  const MappedFile file(path);
  return parse_json({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()},
                    path.string());
}

void for_each_line(std::string_view text, const std::string& source, const LineVisitor& visit,
                   const DamageVisitor& on_damage) {
  int64_t number = 0;
  while (true) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return;
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = source + " line " + std::to_string(number);
    Json json;
    try {
      json = parse_json(line, where);
      HRM_CHECK(json.is_object(), "[json] ", where, " must be an object, got ", brief(json));
    } catch (const Error& error) {
      const std::string what = std::string(error.what()) + ". HINT: remove this line";
      if (!on_damage) throw Error(what);
      on_damage(what);
      continue;
    }
    visit(json, where);
  }
}

void for_each_line(const Path& path, const LineVisitor& visit, const DamageVisitor& on_damage) {
  const MappedFile file(path);
  for_each_line({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()},
                path.string(), visit, on_damage);
}

std::string brief(const Json& value) {
  constexpr size_t kLongest = 60;
  if (value.is_array() && value.size() > 8)
    return "a list of " + std::to_string(value.size()) + " values";
  if (value.is_object() && value.size() > 4)
    return "an object of " + std::to_string(value.size()) + " members";
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  return text;
}

std::vector<int64_t> integers_of(const Json& list, int64_t low, int64_t high,
                                 const std::string& what) {
  HRM_CHECK(list.is_array(), "[json] ", what, " must be a list, got ", brief(list));
  std::vector<int64_t> values;
  values.reserve(list.size());
  for (const Json& value : list) {
    HRM_CHECK(is_integer(value, low, high), "[json] ", what, " must hold whole numbers",
              range_text(low, high), ", got ", brief(value));
    values.push_back(value.get<int64_t>());
  }
  return values;
}

Members::Members(const Json& json, std::string source) : json_(json), source_(std::move(source)) {
  HRM_CHECK(json_.is_object(), "[json] ", source_, " must be a JSON object, got ", brief(json_));
}

bool Members::has(const std::string& key) const {
  const auto found = json_.find(key);
  return found != json_.end() && !found->is_null();
}

const Json& Members::at(const std::string& key) const {
  const auto found = json_.find(key);
  HRM_CHECK(found != json_.end(), "[json] ", source_, " needs a member '", key, "'");
  return *found;
}

void Members::reject(const std::string& key, const std::string& must) const {
  detail::fail("[json] ", source_, ": '", key, "' must be ", must, ", got ", brief(at(key)));
}

int64_t Members::integer(const std::string& key, int64_t low, int64_t high,
                         std::optional<int64_t> fallback) const {
  if (fallback && !has(key)) return *fallback;
  if (!is_integer(at(key), low, high)) reject(key, "a whole number" + range_text(low, high));
  return at(key).get<int64_t>();
}

uint64_t Members::natural(const std::string& key) const {
  const Json& value = at(key);
  const bool fits =
      value.is_number_unsigned() || is_integer(value, 0, std::numeric_limits<int64_t>::max());
  if (!fits) reject(key, "a whole number from 0");
  return value.get<uint64_t>();
}

double Members::number(const std::string& key, double low, double high,
                       std::optional<double> fallback) const {
  if (fallback && !has(key)) return *fallback;
  if (!is_number(at(key), low, high)) reject(key, "a number" + range_text(low, high));
  return at(key).get<double>();
}

bool Members::flag(const std::string& key, std::optional<bool> fallback) const {
  if (fallback && !has(key)) return *fallback;
  if (!at(key).is_boolean()) reject(key, "true or false");
  return at(key).get<bool>();
}

std::string Members::text(const std::string& key, std::optional<std::string> fallback) const {
  if (fallback && !has(key)) return *fallback;
  if (!at(key).is_string()) reject(key, "text");
  return at(key).get<std::string>();
}

std::vector<int64_t> Members::integers(const std::string& key, int64_t low, int64_t high) const {
  return integers_of(at(key), low, high, source_ + ": '" + key + "'");
}

std::vector<double> Members::numbers(const std::string& key, double low, double high) const {
  std::vector<double> values;
  for (const Json& value : list(key)) {
    HRM_CHECK(is_number(value, low, high), "[json] ", source_, ": '", key, "' must hold numbers",
              range_text(low, high), ", got ", brief(value));
    values.push_back(value.get<double>());
  }
  return values;
}

const Json& Members::list(const std::string& key) const {
  if (!at(key).is_array()) reject(key, "a list");
  return at(key);
}

Members Members::object(const std::string& key) const {
  return Members(at(key), source_ + ": '" + key + "'");
}

}  // namespace hrm
