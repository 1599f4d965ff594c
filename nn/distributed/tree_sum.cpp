#include "nn/distributed/tree_sum.h"

#include <algorithm>
#include <utility>

#include "kernels/dispatch.h"
#include "kernels/elementwise.h"

namespace hrm {
inline namespace nn {
namespace {

void add_to(const Tensor& sum, const Tensor& value) {
  HRM_DISPATCH(axpy, sum.context(), sum.dtype(), sum.data(), value.data(), sum.numel(), 1);
}

Transport::Outgoing outgoing(int to, const Tensor& t) { return {to, t.data(), t.nbytes()}; }
Transport::Incoming incoming(int from, const Tensor& t) { return {from, t.data(), t.nbytes()}; }

}  // namespace

TreeSum::TreeSum(int64_t parts) : parts_(parts) {
  HRM_CHECK(parts > 0, "[tree_sum] a sum needs at least one part, got ", parts);
}

// Puts a node behind those to its left, and joins what belongs together. Without values it only
// finds out which nodes remain.
void TreeSum::push(std::vector<Node>& stack, Node node, int64_t parts) {
  stack.push_back(std::move(node));
  for (;;) {
    Node& last = stack.back();
    const bool is_right = last.index % 2 == 1;
    if (is_right) {
      if (stack.size() < 2) return;
      Node& left = stack[stack.size() - 2];
      if (left.level != last.level || left.index + 1 != last.index) return;
      if (left.value.defined()) add_to(left.value, last.value);
      stack.pop_back();
    } else if (last.index == 0 || (last.index + 1) << last.level < parts) {
      return;  // the root, or one whose right neighbour is still to come
    }
    ++stack.back().level;
    stack.back().index /= 2;
  }
}

// What remains of the parts of a rank, without values.
std::vector<TreeSum::Node> TreeSum::nodes_of(const Range& numbers, int64_t parts) {
  std::vector<Node> nodes;
  for (int64_t i = numbers.begin; i < numbers.end; ++i) push(nodes, {0, i, {}}, parts);
  return nodes;
}

void TreeSum::add(int64_t number, const Tensor& part) {
  HRM_CHECK(number >= 0 && number < parts_, "[tree_sum] parts are numbered 0..", parts_ - 1,
            ", got ", number);
  HRM_CHECK(part.is_contiguous(), "[tree_sum] a part must be contiguous");
  push(nodes_, {0, number, part.detach().view({part.numel()})}, parts_);
}

Tensor TreeSum::total(const Communicator& ranks) {
  const int size = ranks.size(), rank = ranks.rank();
  HRM_CHECK(parts_ >= size, "[tree_sum] ", parts_, " parts cannot be shared out over ", size,
            " ranks");
  std::vector<Node> own = std::exchange(nodes_, {});
  const std::vector<Node> expected = nodes_of(share_of(parts_, rank, size), parts_);
  HRM_CHECK(std::ranges::equal(own, expected, {}, &Node::place, &Node::place), "[tree_sum] rank ",
            rank, " must add parts ", share_of(parts_, rank, size).begin, " to ",
            share_of(parts_, rank, size).end - 1);
  Tensor result = own.front().value;
  if (size == 1) return result;
  if (ranks.reaches(result.device())) return sum_of_all(own, parts_, ranks);
  for (Node& node : own) node.value = node.value.to(Device::cpu);
  result.copy_from(sum_of_all(own, parts_, ranks));
  return result;
}

// The nodes of this rank and of all others, added up in the memory of its first.
Tensor TreeSum::sum_of_all(const std::vector<Node>& own, int64_t parts, const Communicator& ranks) {
  const int size = ranks.size(), rank = ranks.rank();
  const Tensor result = own.front().value;
  const auto slice = [&](const Tensor& whole, int r) {
    const Range range = share_of(whole.numel(), r, size);
    return whole.slice(0, range.begin, range.end);
  };

  // Every rank gets its slice of all nodes, and adds them up.
  std::vector<Transport::Outgoing> out;
  std::vector<Transport::Incoming> in;
  std::vector<Node> all;
  for (int r = 0; r < size; ++r) {
    if (r == rank) {
      for (const Node& node : own) all.push_back({node.level, node.index, slice(node.value, rank)});
      continue;
    }
    for (const Node& node : own) out.push_back(outgoing(r, slice(node.value, r)));
    for (const Node& node : nodes_of(share_of(parts, r, size), parts)) {
      all.push_back({node.level, node.index, empty_like(slice(result, rank))});
      in.push_back(incoming(r, all.back().value));
    }
  }
  ranks.exchange(out, in, result.device());
  std::vector<Node> sum;
  for (const Node& node : all) push(sum, node, parts);

  // Then the sums of all slices come together.
  Tensor mine = slice(result, rank);
  if (mine.data() != sum.front().value.data()) mine.copy_from(sum.front().value);
  out.clear();
  in.clear();
  for (int r = 0; r < size; ++r) {
    if (r == rank) continue;
    out.push_back(outgoing(r, mine));
    in.push_back(incoming(r, slice(result, r)));
  }
  ranks.exchange(out, in, result.device());
  return result;
}

}  // namespace nn
}  // namespace hrm
