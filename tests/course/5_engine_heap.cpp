#include <queue>
#include <vector>

#include "docs/course/5_engine_heap/exercise.h"
#include "tests/course/mistake.h"

namespace hrm::course {
namespace {

// What comes first among the nodes that wait: the mistakes are the order in which they were found,
// and their place in the graph.
struct Ready {
  uint64_t rank = 0;
  int node = 0;
  bool operator<(const Ready& other) const { return rank < other.rank; }
};

class Run {
 public:
  Run(const Graph& graph, Backward& result) : graph_(graph), result_(result), seen_(graph.size()) {}

  void add(int node, double gradient) {
    double& sum = result_.gradients[node];
    sum = (mistake("last_instead_of_sum") ? 0 : sum) + gradient;
    if (seen_[node] && !mistake("once_for_each_path")) return;
    seen_[node] = true;
    uint64_t rank = graph_[node].sequence;
    if (mistake("first_come_first_served")) rank = graph_.size() - found_++;
    if (mistake("place_in_the_graph")) rank = static_cast<uint64_t>(node);
    ready_.push({rank, node});
  }

  void run() {
    while (!ready_.empty()) {
      const int node = ready_.top().node;
      ready_.pop();
      result_.order.push_back(node);
      for (const Edge& edge : graph_[node].edges)
        add(edge.to, result_.gradients[node] * edge.derivative);
    }
  }

 private:
  const Graph& graph_;
  Backward& result_;
  std::vector<bool> seen_;
  uint64_t found_ = 0;
  std::priority_queue<Ready> ready_;
};

}  // namespace

Backward run_backward(const Graph& graph, int output) {
  Backward result;
  result.gradients.resize(graph.size());
  Run run(graph, result);
  run.add(output, 1);
  if (mistake("visits_the_whole_graph"))
    for (int node = 0; node < std::ssize(graph); ++node) run.add(node, 0);
  run.run();
  return result;
}

}  // namespace hrm::course
