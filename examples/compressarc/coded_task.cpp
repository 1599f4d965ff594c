#include "examples/compressarc/coded_task.h"

#include <algorithm>
#include <set>

namespace hrm::compressarc {
namespace {

GridSize size_of(const ArcGrid& grid) { return {grid.height, grid.width}; }

GridSize larger(const GridSize& a, const GridSize& b) {
  return {std::max(a.height, b.height), std::max(a.width, b.width)};
}

bool all_equal(const std::vector<GridSize>& sizes) {
  return std::adjacent_find(sizes.begin(), sizes.end(), std::not_equal_to()) == sizes.end();
}

void set_sizes(CodedTask& coded, const ArcTask& task) {
  std::vector<GridSize> inputs, outputs;
  GridSize largest;
  coded.outputs_like_inputs = true;
  for (const ArcPair& pair : task.train) {
    inputs.push_back(size_of(pair.input));
    outputs.push_back(size_of(pair.output));
    coded.outputs_like_inputs &= inputs.back() == outputs.back();
    coded.sizes.push_back({inputs.back(), outputs.back()});
    largest = larger(largest, larger(inputs.back(), outputs.back()));
  }
  for (const ArcPair& pair : task.test) {
    inputs.push_back(size_of(pair.input));
    largest = larger(largest, inputs.back());
  }
  coded.one_input_size = all_equal(inputs);
  coded.one_output_size = all_equal(outputs);
  for (const ArcPair& pair : task.test) {
    const GridSize input = size_of(pair.input);
    coded.sizes.push_back({input, coded.outputs_like_inputs ? input
                                  : coded.one_output_size   ? outputs[0]
                                                            : largest});
  }
  coded.rows = largest.height;
  coded.cols = largest.width;
}

void set_colours(CodedTask& coded, const ArcTask& task) {
  std::set<uint8_t> found = {0};
  const auto look = [&](const ArcGrid& grid) {
    found.insert(grid.cells.begin(), grid.cells.end());
  };
  for (const ArcPair& pair : task.train) {
    look(pair.input);
    look(pair.output);
  }
  for (const ArcPair& pair : task.test) look(pair.input);
  coded.colours.assign(found.begin(), found.end());
}

void set_codes(CodedTask& coded, const ArcTask& task) {
  std::array<uint8_t, 10> code_of = {};
  for (size_t i = 0; i < coded.colours.size(); ++i)
    code_of[coded.colours[i]] = static_cast<uint8_t>(i);
  coded.codes.assign(coded.examples() * coded.rows * coded.cols * 2, 0);
  const auto write = [&](int64_t example, const ArcGrid& grid, Side side) {
    for (int row = 0; row < grid.height; ++row)
      for (int col = 0; col < grid.width; ++col)
        coded.codes[((example * coded.rows + row) * coded.cols + col) * 2 + side] =
            code_of[grid.at(row, col)];
  };
  for (int64_t i = 0; i < coded.demonstrations; ++i) {
    write(i, task.train[i].input, kInput);
    write(i, task.train[i].output, kOutput);
  }
  for (int64_t i = 0; i < coded.tests; ++i)
    write(coded.demonstrations + i, task.test[i].input, kInput);
}

}  // namespace

CodedTask code_task(const ArcTask& task) {
  HRM_CHECK(!task.train.empty(), "[compressarc] task ", task.id, " has no demonstration");
  HRM_CHECK(!task.test.empty(), "[compressarc] task ", task.id, " has no test");
  CodedTask coded;
  coded.id = task.id;
  coded.demonstrations = std::ssize(task.train);
  coded.tests = std::ssize(task.test);
  set_sizes(coded, task);
  set_colours(coded, task);
  HRM_CHECK(coded.other_colours() > 0, "[compressarc] task ", task.id,
            " has no colour but black. HINT: leave it out with --task");
  set_codes(coded, task);
  return coded;
}

}  // namespace hrm::compressarc
