#include "docs/course/grade.h"

#include <algorithm>
#include <utility>

#include "docs/course/5_engine_heap/exercise.h"
#include "tensor/random.h"

namespace hrm::course {
namespace {

using Order = std::vector<int>;

std::string wrong_gradients(const Backward& got, const std::vector<double>& wanted) {
  return difference(from_values(got.gradients, {std::ssize(got.gradients)}, DType::f64),
                    from_values(wanted, {std::ssize(wanted)}, DType::f64), 1e-9);
}

// A graph of random operations on two leaves, whose nodes stand in a random order. Returns where
// the last one that was made stands.
std::pair<Graph, int> random_graph(int nodes, Random& random) {
  std::vector<int> place;
  for (int i = 0; i < nodes; ++i) place.push_back(i);
  random.shuffle(place);
  Graph graph(nodes);
  for (int i = 2; i < nodes; ++i) {
    GraphNode& node = graph[place[i]];
    node.sequence = static_cast<uint64_t>(10 * i);
    for (int64_t edges = 1 + random.below(3); edges > 0; --edges)
      node.edges.push_back({place[random.below(i)], 2 * random.uniform() - 1});
  }
  return {graph, place[nodes - 1]};
}

// d(output) / d(node), found along every path from the output: slow, and without any order.
double along_all_paths(const Graph& graph, int from, int node) {
  double sum = from == node ? 1 : 0;
  for (const Edge& edge : graph[from].edges)
    sum += edge.derivative * along_all_paths(graph, edge.to, node);
  return sum;
}

}  // namespace

TEST_CASE("a chain is visited from its end to its beginning") {
  const Graph chain = {{0, {}}, {1, {{0, 2}}}, {2, {{1, 3}}}};
  const Backward result = run_backward(chain, 2);
  CHECK(result.order == Order{2, 1, 0});
  CHECK(wrong_gradients(result, {6, 3, 1}) == "");
}

TEST_CASE("a leaf by itself has the gradient 1") {
  const Backward result = run_backward({{0, {}}}, 0);
  CHECK(result.order == Order{0});
  CHECK(wrong_gradients(result, {1}) == "");
}

TEST_CASE("a node that is used twice adds up what both users give it") {
  // y = x x: both edges lead to x.
  const Backward result = run_backward({{0, {}}, {1, {{0, 5}, {0, 5}}}}, 1);
  CHECK(result.order == Order{1, 0});
  CHECK(wrong_gradients(result, {10, 1}) == "");
}

TEST_CASE("a node waits for all of its users, also for one that is far away") {
  // 1 = f(0); 2 = g(1); 3 = h(2); 4 = k(1, 3): the edge from 4 leads to 1 at once, but 1 has to
  // wait for 2.
  const Graph graph = {
      {0, {}}, {1, {{0, 2}}}, {2, {{1, 3}}}, {3, {{2, 5}}}, {4, {{1, 7}, {3, 11}}}};
  const Backward result = run_backward(graph, 4);
  CHECK(result.order == Order{4, 3, 2, 1, 0});
  CHECK(wrong_gradients(result, {344, 172, 55, 11, 1}) == "");
}

TEST_CASE("the sequence number decides, not the place in the graph") {
  // The same graph, with its nodes in another order.
  const Graph graph = {
      {4, {{3, 7}, {1, 11}}}, {3, {{4, 5}}}, {0, {}}, {1, {{2, 2}}}, {2, {{3, 3}}}};
  const Backward result = run_backward(graph, 0);
  CHECK(result.order == Order{0, 1, 4, 3, 2});
  CHECK(wrong_gradients(result, {1, 11, 344, 172, 55}) == "");
}

TEST_CASE("a node that many paths lead to is visited once") {
  // Each node has two edges to the one before: 2^12 paths to the leaf.
  Graph graph = {{0, {}}};
  for (int i = 1; i <= 12; ++i)
    graph.push_back({static_cast<uint64_t>(i), {{i - 1, 1}, {i - 1, 1}}});
  const Backward result = run_backward(graph, 12);
  CHECK(result.order.size() == 13);
  REQUIRE(result.gradients.size() == 13);
  CHECK(result.gradients[0] == 4096);
}

TEST_CASE("what does not lead to the output is not visited") {
  // 3 is made of the same leaf, later than the output.
  const Graph graph = {{0, {}}, {0, {}}, {1, {{0, 2}}}, {2, {{0, 9}, {1, 9}}}};
  const Backward result = run_backward(graph, 2);
  CHECK(result.order == Order{2, 0});
  CHECK(wrong_gradients(result, {2, 0, 1, 0}) == "");
}

TEST_CASE("random graphs: the latest comes first, and gradients are complete") {
  Random random(1);
  for (int trial = 0; trial < 20; ++trial) {
    const auto [graph, output] = random_graph(12, random);
    const Backward result = run_backward(graph, output);
    std::vector<double> wanted;
    for (int i = 0; i < std::ssize(graph); ++i) wanted.push_back(along_all_paths(graph, output, i));
    CHECK(wrong_gradients(result, wanted) == "");
    std::vector<uint64_t> visited;
    for (const int node : result.order) visited.push_back(graph[node].sequence);
    CHECK(std::is_sorted(visited.rbegin(), visited.rend()));
    Order once = result.order;
    std::sort(once.begin(), once.end());
    CHECK(std::adjacent_find(once.begin(), once.end()) == once.end());
  }
}

TEST_CASE("a long chain takes no deep recursion") {
  Graph chain = {{0, {}}};
  for (int i = 1; i <= 200000; ++i) chain.push_back({static_cast<uint64_t>(i), {{i - 1, 1}}});
  const Backward result = run_backward(chain, 200000);
  CHECK(result.order.size() == chain.size());
  REQUIRE(result.gradients.size() == chain.size());
  CHECK(result.gradients[0] == 1);
}

}  // namespace hrm::course
