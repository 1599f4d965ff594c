#include "hrm/tasks/arc_data.h"

#include <algorithm>
#include <limits>
#include <set>

#include <nlohmann/json.hpp>

#include "hrm/support/text.h"

namespace hrm {
namespace {

constexpr int kFormat = 1;

Json pairs_json(const std::vector<ArcPair>& pairs) {
  Json list = Json::array();
  for (const ArcPair& p : pairs) list.push_back({grid_text(p.input), grid_text(p.output)});
  return list;
}

std::vector<ArcPair> pairs_from_json(const Json& list, const std::string& where) {
  std::vector<ArcPair> pairs;
  for (const Json& p : list) {
    HRM_CHECK(p.is_array() && p.size() == 2 && p[0].is_string() && p[1].is_string(), "[arc] ",
              where, " must hold pairs [input, output] of texts, got ", brief(p));
    pairs.push_back({parse_grid_text(p[0].get<std::string>(), where),
                     parse_grid_text(p[1].get<std::string>(), where)});
    HRM_CHECK(!pairs.back().input.empty(), "[arc] ", where, " holds a pair without an input");
  }
  return pairs;
}

ArcTask task_from_json(const Members& json) {
  ArcTask task;
  task.id = json.text("id");
  check_task_id(task.id, json.source());
  task.set = json.text("set");
  task.evaluated = json.flag("evaluated");
  const std::string where = json.source() + ": " + task.id;
  task.train = pairs_from_json(json.list("train"), where + ": train");
  task.test = pairs_from_json(json.list("test"), where + ": test");
  return task;
}

}  // namespace

std::string arc_data_text(const ArcData& data) {
  Json json = {{"format", kFormat},         {"canvas", data.canvas},
               {"variants", data.variants}, {"kinds", data.kinds.to_string()},
               {"seed", data.seed},         {"tasks", Json::array()}};
  for (const ArcTask& t : data.tasks)
    json["tasks"].push_back({{"id", t.id},
                             {"set", t.set},
                             {"evaluated", t.evaluated},
                             {"train", pairs_json(t.train)},
                             {"test", pairs_json(t.test)}});
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

ArcData parse_arc_data(const Json& json, const std::string& source) {
  const Members top(json, source);
  HRM_CHECK(top.integer("format", 0, std::numeric_limits<int64_t>::max()) == kFormat, "[arc] ",
            source, " was written by another version of hrm. HINT: `hrm data arc` makes it anew");
  ArcData data;
  data.canvas = static_cast<int>(top.integer("canvas", 0, kArcSide));
  data.variants = top.integer("variants", 0, kMostArcVariants);
  data.kinds = ArcKinds::parse(top.text("kinds"));
  data.seed = top.natural("seed");
  std::set<std::string> ids;
  for (const Json& task : top.list("tasks")) {
    data.tasks.push_back(
        task_from_json(Members(task, source + ": task " + std::to_string(data.tasks.size()))));
    HRM_CHECK(ids.insert(data.tasks.back().id).second, "[arc] ", source, ": two tasks are named ",
              data.tasks.back().id);
  }
  HRM_CHECK(!data.tasks.empty(), "[arc] ", source, " holds no tasks");
  return data;
}

ArcData read_arc_data(const Path& file) { return parse_arc_data(read_json(file), file.string()); }

void keep_tasks(std::vector<ArcTask>& tasks, const std::vector<std::string>& names) {
  std::vector<std::string> known;
  known.reserve(tasks.size());
  for (const ArcTask& t : tasks) known.push_back(t.id);
  for (const std::string& name : names) {
    const std::string close = nearest(name, known);
    HRM_CHECK(std::ranges::find(known, name) != known.end(), "[arc] there is no task '", name,
              "' in the data", close.empty() ? "" : ". HINT: did you mean '" + close + "'?");
  }
  std::erase_if(tasks,
                [&](const ArcTask& t) { return std::ranges::find(names, t.id) == names.end(); });
}

std::vector<ArcPair> training_pairs(const ArcTask& task) {
  std::vector<ArcPair> pairs = task.train;
  if (!task.evaluated)
    for (const ArcPair& p : task.test)
      if (!p.output.empty()) pairs.push_back(p);
  return pairs;
}

}  // namespace hrm
