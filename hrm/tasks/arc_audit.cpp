#include "hrm/tasks/arc_audit.h"

#include <map>
#include <set>

#include "hrm/tasks/arc_data.h"

namespace hrm {

ArcAudit audit_arc(const std::vector<ArcTask>& tasks) {
  ArcAudit audit;
  std::map<std::string, std::vector<const ArcTask*>> trained_pairs;
  std::map<std::string, const ArcTask*> trained_tasks;
  std::set<ArcGrid> outputs;
  for (const ArcTask& t : tasks) {
    if (!t.evaluated) trained_tasks.try_emplace(t.id, &t);
    for (const ArcPair& p : training_pairs(t)) {
      trained_pairs[canonical_pair(p)].push_back(&t);
      outputs.insert(p.output);
    }
  }
  for (const ArcTask& t : tasks) {
    if (!t.evaluated) continue;
    if (const auto found = trained_tasks.find(t.id); found != trained_tasks.end())
      audit.tasks.push_back({t.id, -1, found->second->set});
    for (size_t i = 0; i < t.test.size(); ++i) {
      if (t.test[i].output.empty()) continue;
      ++audit.checked;
      audit.equal_outputs += outputs.contains(t.test[i].output);
      const auto found = trained_pairs.find(canonical_pair(t.test[i]));
      if (found == trained_pairs.end()) continue;
      std::set<std::string> named;
      for (const ArcTask* other : found->second)
        if (named.insert(other->id).second)
          audit.pairs.push_back({t.id, static_cast<int64_t>(i), other->id});
    }
  }
  return audit;
}

}  // namespace hrm
