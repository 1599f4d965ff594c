// ARC tasks: grids of colours, their symmetric variants, token sequences, and the JSON they come in
// (arc_files.h reads folders of it). Sequences, crop and variant names are those of the official
// code (build_arc_dataset.py, arc_eval.ipynb).
//
//     const ArcTask task = parse_arc_task(read_json("task.json"), "task", "task.json");
//     for (const ArcVariant& variant : arc_variants(task, 10, ArcKinds(), 0))
//       show(variant.name(task.id), variant.apply(task.train[0]));
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hrm/support/json.h"
#include "tensor/io.h"
#include "tensor/random.h"

namespace hrm {

inline constexpr int kArcSide = 30;   // the largest grid, and the official canvas
inline constexpr int kArcVocab = 12;  // PAD 0, EOS 1, colour c -> c + 2

// Colours 0..9 row by row; 0 x 0 where an output is not known.
struct ArcGrid {
  int height = 0, width = 0;
  std::vector<uint8_t> cells;

  bool empty() const { return cells.empty(); }
  uint8_t at(int row, int col) const { return cells[row * width + col]; }
  auto operator<=>(const ArcGrid&) const = default;
};
struct ArcPair {
  ArcGrid input, output;
  auto operator<=>(const ArcPair&) const = default;
};
struct ArcTask {
  std::string id;
  std::vector<ArcPair> train, test;
  bool evaluated = false;  // its test pairs are for evaluation, never for training
  std::string set;         // the folder or file it came from
};

// Which changes a variant may make. `translation` is not part of a variant: it places each pair of
// grids on the canvas.
struct ArcKinds {
  bool rotation = true, flip = true, transpose = true, colour = true, translation = true;
  // "all", "none", or a list such as "rotation,colour".
  static ArcKinds parse(const std::string& text);
  std::string to_string() const;
};

// One colour map, then one of the eight dihedral transforms: identity, rot90 (counter-clockwise),
// rot180, rot270, flip left-right, flip up-down, transpose, anti-transpose.
struct ArcVariant {
  uint8_t dihedral = 0;
  std::array<uint8_t, 10> colours = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};  // colour c becomes colours[c]

  static ArcVariant draw(const ArcKinds& kinds, Random& random);
  ArcGrid apply(const ArcGrid& grid) const;
  ArcPair apply(const ArcPair& pair) const { return {apply(pair.input), apply(pair.output)}; }
  ArcGrid undo(const ArcGrid& grid) const;  // undo(apply(g)) = g
  bool identity() const { return *this == ArcVariant{}; }
  // "TASK" for the identity, else "TASK_t3_0376254198".
  std::string name(const std::string& task) const;
  auto operator<=>(const ArcVariant&) const = default;
};
// Task and variant of a name; any other text is the name of a task.
std::pair<std::string, ArcVariant> parse_variant_name(const std::string& name);
ArcGrid dihedral_transform(const ArcGrid& grid, int id);
// The same of a square of any side: cell i of the result is cell dihedral_sources(side, id)[i].
std::vector<int> dihedral_sources(int side, int id);

// `wanted` variants that differ from the task and from each other in at least one pair (the
// official rule: at most 5 x wanted trials, so there may be fewer), behind the identity. They
// depend on the seed, the kinds and the task's name alone; more of them begin with the same ones.
std::vector<ArcVariant> arc_variants(const ArcTask& task, int64_t wanted, const ArcKinds& kinds,
                                     uint64_t seed);

// The smallest square that holds every grid of the tasks.
int smallest_canvas(const std::vector<ArcTask>& tasks);
// side * side tokens: the grid at (row, col), EOS below and to the right of it where the canvas
// goes on, the corner and the rest PAD.
void encode_grid(const ArcGrid& grid, int side, int row, int col, int32_t* tokens);
// The largest rectangle of colours with its corner at (row, col); the first one in ties.
ArcGrid crop(const int32_t* tokens, int side, int row = 0, int col = 0);

// Throws unless `id` can be the name of a task, which is shown, and becomes the name of a folder:
// 1 to 200 bytes that can be printed, without '/', '\\' and "..", and no dot in front.
void check_task_id(const std::string& id, const std::string& where);
// A list of rows of colours; errors name `where` and the place in it.
ArcGrid parse_grid(const Json& rows, const std::string& where);
// A task from parsed JSON: {"train": [{"input", "output"}...], "test": [...]}, named by its member
// "name", or `id` if it has none. Errors name `where` and the place in it.
ArcTask parse_arc_task(const Json& json, const std::string& id, const std::string& where);
// The tasks of a file. Either it holds one task, named after the file unless it has a name itself;
// or it is one of Kaggle's combined files, {"id": {"train", "test"}, ...}: then they come in order
// of their ids, with the outputs of the tests from `solutions`, an object that may be empty.
bool is_combined(const Json& json);
std::vector<ArcTask> parse_arc_file(const Json& json, const Json& solutions, const Path& file);
// Compact text of grids in JSON: rows of digits joined by '/'.
std::string grid_text(const ArcGrid& grid);
ArcGrid parse_grid_text(const std::string& text, const std::string& where);

// A pair seen without its variant: equal for two pairs exactly if a dihedral transform and a
// permutation of the colours 1..9 turn one into the other.
std::string canonical_pair(const ArcPair& pair);

}  // namespace hrm
