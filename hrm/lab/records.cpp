#include "hrm/lab/records.h"

namespace hrm::lab {
namespace {

constexpr double kMost = 1e15;  // of a count or a time

}  // namespace

void add_shares(Record& r, const Members& evaluation) {
  for (const auto& [name, key] : {std::pair{"exact", "exact_accuracy"},
                                  {"tokens", "accuracy"},
                                  {"segments", "mean_steps"},
                                  {"lost", "lost_accuracy"},
                                  {"valid", "valid_accuracy"},
                                  {"seconds", "seconds"}})
    if (evaluation.has(key)) r.values[name] = evaluation.number(key, 0, kMost);
  r.solved = evaluation.text("solved", "");
}

std::vector<Record> judged(const Record& base, const Members& found) {
  std::vector<Record> records;
  if (found.has("rollouts")) {
    const Members rollouts = found.object("rollouts");
    for (const auto& [n, shares] : rollouts.json().items())
      for (const auto& [select, share] : rollouts.object(n).json().items()) {
        Record r = base;
        r.labels.emplace_back("rollouts", n);
        r.labels.emplace_back("select", select);
        r.values["exact"] = rollouts.object(n).number(select, 0, 1);
        r.values["seconds"] = found.number("seconds", 0, kMost, 0);
        if (found.has("solved") && found.object("solved").has(n))
          r.solved = found.object("solved").object(n).text(select, "");
        records.push_back(r);
      }
    return records;
  }
  Record r = base;
  if (found.has("pass")) {
    const auto share = [&](const char* at) {
      return found.object(at).number("mean_fraction_of_tests", 0, 1);
    };
    r.values["exact"] = share("pass@2");
    r.values["first"] = share("pass@1");
    r.values["any"] = share("pass@1000");
    r.solved = found.text("solved_at_2", "");
    return {r};
  }
  add_shares(r, found);
  records.push_back(r);
  // After each segment, where every puzzle ran them all.
  const std::vector<double> by_segment = found.has("exact_by_segment")
                                             ? found.numbers("exact_by_segment", 0, 1)
                                             : std::vector<double>();
  for (size_t s = 0; s < by_segment.size(); ++s) {
    Record at = base;
    at.labels.emplace_back("segment", std::to_string(s + 1));
    at.values["exact"] = by_segment[s];
    records.push_back(at);
  }
  return records;
}

std::string Record::label(const std::string& name) const {
  for (const auto& [key, value] : labels)
    if (key == name) return value;
  return "";
}

Json to_json(const Record& r) {
  Json json = {{"labels", Json::object()}, {"values", r.values}};
  for (const auto& [name, value] : r.labels) json["labels"][name] = value;
  if (!r.solved.empty()) json["solved"] = r.solved;
  return json;
}

Record record_from_json(const Json& json) {
  const Members members(json, "a record of results.jsonl");
  Record r;
  const Members labels = members.object("labels"), values = members.object("values");
  for (const auto& [name, value] : labels.json().items())
    r.labels.emplace_back(name, labels.text(name));
  for (const auto& [name, value] : values.json().items())
    if (!value.is_null())  // was not finite
      r.values[name] = values.number(name, -kMost, kMost);
  r.solved = members.text("solved", "");
  return r;
}

std::vector<Json> parse_results(std::string_view text, const std::string& source,
                                const DamageVisitor& on_damage) {
  std::vector<Json> lines;
  const auto visit = [&](const Json& json, const std::string& where) {
    try {
      const Members line(json, where);
      line.text("key");
      for (const Json& record : line.list("records")) record_from_json(record);
      lines.push_back(json);
    } catch (const Error& error) {
      on_damage(error.what());
    }
  };
  for_each_line(text, source, visit, on_damage);
  return lines;
}

}  // namespace hrm::lab
