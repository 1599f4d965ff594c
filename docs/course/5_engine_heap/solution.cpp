// Makes a graph of the library with the same nodes, and lets the library's engine run through it.
#include <algorithm>
#include <numeric>

#include "autograd/custom_function.h"
#include "autograd/engine.h"
#include "autograd/ops/arithmetic.h"
#include "docs/course/5_engine_heap/exercise.h"

namespace hrm::course {
namespace {

void visit(Backward& result, int node, const Tensor& gradient) {
  result.order.push_back(node);
  result.gradients[node] = gradient.item();
}

Tensor leaf(Backward& result, int node) {
  const Tensor x = zeros({1}, DType::f64).set_requires_grad();
  register_hook(x, [&result, node](const Tensor& gradient) {
    visit(result, node, gradient);
    return Tensor();
  });
  return x;
}

Tensor operation(Backward& result, int node, const std::vector<Edge>& edges, const Tensors& made) {
  Tensors inputs;
  for (const Edge& edge : edges) inputs.push_back(made[edge.to]);
  return custom_function(
      "operation", inputs,
      [](CustomContext&, const Tensors&) { return Tensors{zeros({1}, DType::f64)}; },
      [&result, node, edges](const Saved&, const Tensors& gradient) {
        visit(result, node, gradient[0]);
        Tensors passed_on;
        for (const Edge& edge : edges) passed_on.push_back(gradient[0] * edge.derivative);
        return passed_on;
      })[0];
}

}  // namespace

Backward run_backward(const Graph& graph, int output) {
  std::vector<int> by_age(graph.size());
  std::iota(by_age.begin(), by_age.end(), 0);
  std::sort(by_age.begin(), by_age.end(),
            [&](int a, int b) { return graph[a].sequence < graph[b].sequence; });
  Backward result;
  result.gradients.resize(graph.size());
  Tensors made(graph.size());
  for (const int i : by_age)
    made[i] = graph[i].edges.empty() ? leaf(result, i) : operation(result, i, graph[i].edges, made);
  backward(made[output]);
  return result;
}

}  // namespace hrm::course
