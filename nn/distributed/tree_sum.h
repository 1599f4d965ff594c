// A sum of numbered parts in an order that does not depend on who computed them: the gradient of a
// step is the same, bit for bit, on one rank or on many.
//
//     TreeSum sum(micro_batches);
//     const Range own = share_of(micro_batches, ranks.rank(), ranks.size());
//     for (int64_t i = own.begin; i < own.end; ++i) sum.add(i, gradient_of(i));
//     const Tensor gradient = sum.total(ranks);
//
// The order is a binary tree over the numbers: 0 + 1, 2 + 3, ..., then the sums of neighbours, and
// so on; what has no right neighbour goes up as it is. (An addition of floating-point numbers may
// swap its operands, but three of them depend on which two are added first.)
#pragma once

#include <utility>
#include <vector>

#include "nn/distributed/communicator.h"

namespace hrm {
inline namespace nn {

class TreeSum {
 public:
  // Of so many parts, over all ranks.
  explicit TreeSum(int64_t parts);

  // The parts of a rank are those of share_of(), in rising order. The memory of `part` (contiguous,
  // f32, f64 or bf16) is written to from now on. At most 2 log2(parts) + 1 of them are kept.
  void add(int64_t number, const Tensor& part);
  // The sum on every rank; all must have as many elements. Each rank adds up its share of the
  // elements and hands out the result: where each rank has the same power of two of parts, a rank
  // sends and receives about twice the bytes of a part, whatever the number of ranks. Where
  // the ranks do not reach each other's GPUs, the host adds up copies. Needs at least as many parts
  // as ranks. The object is empty again.
  Tensor total(const Communicator& ranks);

 private:
  struct Node {
    int level = 0;      // it stands for 2^level parts,
    int64_t index = 0;  // from number index * 2^level on
    Tensor value;
    std::pair<int, int64_t> place() const { return {level, index}; }
  };
  static Tensor sum_of_all(const std::vector<Node>& own, int64_t parts, const Communicator& ranks);
  static void push(std::vector<Node>& stack, Node node, int64_t parts);
  static std::vector<Node> nodes_of(const Range& numbers, int64_t parts);

  int64_t parts_;
  std::vector<Node> nodes_;
};

}  // namespace nn
}  // namespace hrm
