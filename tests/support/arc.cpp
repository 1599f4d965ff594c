#include "tests/support/arc.h"

#include <nlohmann/json.hpp>

#include "tests/support/support.h"

namespace hrm::test {

ArcGrid random_arc_grid(Random& random, int most) {
  ArcGrid g;
  g.height = 1 + static_cast<int>(random.below(most));
  g.width = 1 + static_cast<int>(random.below(most));
  for (int i = 0; i < g.height * g.width; ++i)
    g.cells.push_back(static_cast<uint8_t>(random.below(10)));
  return g;
}

ArcTask random_arc_task(const std::string& id, bool evaluated, Random& random) {
  ArcTask t;
  t.id = id;
  t.evaluated = evaluated;
  t.set = evaluated ? "evaluation" : "training";
  for (int i = 0; i < 3; ++i) t.train.push_back({random_arc_grid(random), random_arc_grid(random)});
  for (int i = 0; i < 2; ++i) t.test.push_back({random_arc_grid(random), random_arc_grid(random)});
  return t;
}

ArcData small_arc_data(int64_t variants, int canvas) {
  Random random(3);
  ArcData data;
  data.tasks = {random_arc_task("aaaa", false, random), random_arc_task("bbbb", true, random),
                random_arc_task("cccc", true, random)};
  data.variants = variants;
  data.canvas = canvas;
  return data;
}

std::string arc_task_text(const ArcTask& t) {
  const auto grid = [](const ArcGrid& g) {
    Json rows = Json::array();
    for (int r = 0; r < g.height; ++r) {
      rows.push_back(Json::array());
      for (int c = 0; c < g.width; ++c) rows.back().push_back(g.at(r, c));
    }
    return rows;
  };
  Json json;
  for (const char* part : {"train", "test"})
    for (const ArcPair& p : part == std::string("train") ? t.train : t.test)
      json[part].push_back({{"input", grid(p.input)}, {"output", grid(p.output)}});
  return json.dump();
}

void write_arc_tasks(const Path& root, const ArcData& data) {
  for (const ArcTask& t : data.tasks)
    write_text(root / (t.evaluated ? "evaluation" : "training") / (t.id + ".json"),
               arc_task_text(t));
}

}  // namespace hrm::test
