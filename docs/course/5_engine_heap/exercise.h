// Exercise 5: in which order backward visits the nodes of a graph.
#pragma once

#include <cstdint>
#include <vector>

#include "docs/course/course.h"

namespace hrm::course {

// An input of a node, and the derivative of the node with respect to it.
struct Edge {
  int to = 0;  // position of the input in the graph
  double derivative = 0;
};

// What one operation has left behind: the nodes stand in the graph in any order, and `sequence`
// says when each was made. An operation is made after all of its inputs, so its number is larger
// than theirs. A node without edges is a leaf (a weight, say); all leaves have the number 0.
struct GraphNode {
  uint64_t sequence = 0;
  std::vector<Edge> edges;  // two of them may lead to the same node
};
using Graph = std::vector<GraphNode>;

struct Backward {
  std::vector<int> order;         // positions of the nodes as they were visited
  std::vector<double> gradients;  // of each node of the graph: d(output) / d(node)
};

// Starts with the gradient 1 at the node `output` and visits each node that can be reached from it
// once, the latest sequence number first; leaves, which have the same number, come in any order. A
// visit takes the gradient of a node, which must be complete, and adds (gradient x derivative) to
// the node at the end of each edge. Nodes that cannot be reached are not visited, and have the
// gradient 0.
Backward run_backward(const Graph& graph, int output);

}  // namespace hrm::course
