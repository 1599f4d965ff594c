#include "hrm/view/metrics.h"

#include <algorithm>
#include <cstring>

namespace hrm {
namespace {

constexpr int64_t kMost = int64_t{1} << 50;  // of steps, samples and seconds
constexpr size_t kMostMembers = 1000;        // of a line: far more than a run writes

// What the keys count, not measure: the axis of a scalar, not a scalar.
bool is_axis(const std::string& key) { return key == "step" || key == "samples"; }

// Protocol buffers: a key is field << 3 | wire type.
void varint(std::string& out, uint64_t v) {
  for (; v >= 128; v >>= 7) out += static_cast<char>(v | 128);
  out += static_cast<char>(v);
}
template <class T>
void fixed(std::string& out, int field, T value) {
  varint(out, static_cast<uint64_t>(field) << 3 | (sizeof(T) == 8 ? 1 : 5));
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
void bytes(std::string& out, int field, const std::string& value) {
  varint(out, static_cast<uint64_t>(field) << 3 | 2);
  varint(out, value.size());
  out += value;
}

// TFRecord: length, its checksum, the data, its checksum.
void record(std::string& out, const std::string& data) {
  const auto number = [](auto v) { return std::string(reinterpret_cast<char*>(&v), sizeof v); };
  const auto masked = [&](const std::string& of) {
    const uint32_t crc = crc32c(of);
    return number(static_cast<uint32_t>((crc >> 15 | crc << 17) + 0xa282ead8u));
  };
  const std::string length = number(static_cast<uint64_t>(data.size()));
  out += length + masked(length) + data + masked(data);
}

}  // namespace

uint32_t crc32c(const std::string& of) {
  uint32_t crc = 0xffffffffu;
  for (const char c : of) {
    crc ^= static_cast<uint8_t>(c);
    for (int k = 0; k < 8; ++k) crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
  }
  return ~crc;
}

MetricLines parse_metrics(std::string_view text, const std::string& source) {
  MetricLines lines;
  for_each_line(text, source, [&](const Json& json, const std::string& where) {
    HRM_CHECK(json.size() <= kMostMembers, "[metrics] ", where, ": at most ", kMostMembers,
              " members are possible, got ", json.size());
    if (json.contains("changed")) return;
    Json line = Json::object();
    for (const auto& [key, value] : json.items())
      if (!value.is_null()) line[key] = value;  // a number that was not finite
    const Members checked(line, where);
    checked.integer("step", 0, kMost, 0);
    for (const char* key : {"samples", "elapsed", "seconds", "mean_steps"})
      checked.number(key, 0, kMost, 0);
    for (const char* key : {"accuracy", "exact_accuracy", "lost_accuracy", "valid_accuracy"})
      checked.number(key, 0, 1, 0);
    checked.text("solved", "");
    (checked.flag("eval", false) ? lines.eval : lines.train).push_back(std::move(line));
  });
  return lines;
}

MetricLines read_metrics(const Path& run) {
  const Path path = run / "metrics.jsonl";
  std::error_code absent;
  if (!std::filesystem::exists(path, absent)) return {};
  const MappedFile file(path);
  return parse_metrics({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()},
                       path.string());
}

Curve curve(const std::vector<Json>& lines, const char* x, const char* y) {
  Curve all;
  for (const Json& l : lines)
    if (l.contains(x) && l[x].is_number() && l.contains(y) && l[y].is_number())
      all.push_back({l[x].get<double>(), l[y].get<double>()});
  const size_t stride = all.size() / 400 + 1;
  Curve thin;
  for (size_t i = 0; i < all.size(); i += stride) thin.push_back(all[i]);
  if (!all.empty() && (all.size() - 1) % stride) thin.push_back(all.back());
  return thin;
}

std::string metrics_csv(const MetricLines& lines) {
  std::vector<std::string> keys;
  for (const auto* kind : {&lines.train, &lines.eval})
    for (const Json& line : *kind)
      for (const auto& [key, value] : line.items())
        if (value.is_number() && std::find(keys.begin(), keys.end(), key) == keys.end())
          keys.push_back(key);
  std::string csv = "kind";
  for (const std::string& key : keys) csv += "," + key;
  csv += "\n";
  for (const auto* kind : {&lines.train, &lines.eval})
    for (const Json& line : *kind) {
      csv += kind == &lines.train ? "train" : "eval";
      for (const std::string& key : keys)
        csv +=
            "," + (line.contains(key) && line[key].is_number() ? line[key].dump() : std::string());
      csv += "\n";
    }
  return csv;
}

std::string tensorboard_events(const MetricLines& lines, double started) {
  std::string file, event;
  fixed(event, 1, started);
  bytes(event, 3, "brain.Event:2");  // file_version
  record(file, event);
  std::vector<const Json*> in_order;
  for (const auto* kind : {&lines.train, &lines.eval})
    for (const Json& line : *kind) in_order.push_back(&line);
  const auto step = [](const Json* line) { return line->value("step", int64_t{0}); };
  std::stable_sort(in_order.begin(), in_order.end(),
                   [&](const Json* a, const Json* b) { return step(a) < step(b); });
  for (const Json* line : in_order) {
    const std::string group = line->value("eval", false) ? "eval/" : "train/";
    std::string summary;
    for (const auto& [key, number] : line->items()) {
      if (!number.is_number() || is_axis(key)) continue;
      std::string value;
      bytes(value, 1, group + key);          // tag
      fixed(value, 2, number.get<float>());  // simple_value
      bytes(summary, 1, value);
    }
    event.clear();
    fixed(event, 1, started + line->value("elapsed", 0.0));
    varint(event, 2 << 3);
    varint(event, static_cast<uint64_t>(step(line)));
    bytes(event, 5, summary);
    record(file, event);
  }
  return file;
}

}  // namespace hrm
