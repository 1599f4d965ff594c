// Sudoku of side 4 (boxes 2x2), 6 (2x3) and 9 (3x3): parsing, solving, generating, symmetries.
//
//     SudokuRules rules;
//     const Grid puzzle = parse_sudoku("12.434..21..43.1", &rules);   // 16 cells: side 4
//     const SudokuSolution found = solve_sudoku(rules, puzzle);       // found.count is 1
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/random.h"

namespace hrm {

struct SudokuRules {
  int side = 9, box_rows = 3, box_cols = 3;

  int cells() const { return side * side; }
  int box_of(int row, int col) const { return row / box_rows * (side / box_cols) + col / box_cols; }
  bool transposable() const { return box_rows == box_cols; }
  // Sides 4, 6 and 9; an Error for any other.
  static SudokuRules of_side(int side);
};

// Cells row by row, 0 for blank.
using Grid = std::vector<int>;

// "." or "0" is blank. The rules follow from the length, 16, 36 or 81; an Error names the position
// of a wrong character, or the length.
Grid parse_sudoku(std::string_view text, SudokuRules* rules);
std::string format_sudoku(const Grid& grid);

// Tokens of the data sets: pad 0, blank 1, digit d -> d + 1.
std::vector<int> to_tokens(const Grid& grid);
Grid from_tokens(const std::vector<int>& tokens);

struct SudokuSolution {
  int count = 0;        // solutions found, at most the limit asked for
  Grid grid;            // the first one
  int64_t guesses = 0;  // digits tried in cells where no single was left, over the whole search
};
// Naked and hidden singles, then guesses at the cell with the fewest candidates, until `limit`
// solutions are found or the search is exhausted.
SudokuSolution solve_sudoku(const SudokuRules& rules, const Grid& puzzle, int limit = 2);

// "" if `grid` solves `puzzle`, else what is wrong ("row 3 holds 5 twice", "cell (2, 4) changes a
// given").
std::string check_solution(const SudokuRules& rules, const Grid& puzzle, const Grid& grid);

// A random full grid, and a puzzle made of it by removing digits while the solution stays unique,
// down to `givens` (or as far as it goes; `minimal`: until no digit can be removed).
Grid random_solution(const SudokuRules& rules, Random& random);
Grid remove_digits(const SudokuRules& rules, const Grid& solution, int givens, bool minimal,
                   Random& random);

// An element of the symmetry group: relabelling of digits, transposition (square boxes only),
// permutations of bands, rows within bands, stacks and columns within stacks.
struct SudokuTransform {
  static SudokuTransform draw(const SudokuRules& rules, Random& random);
  Grid apply(const Grid& grid) const;

  std::vector<int> source;  // result cell i takes cell source[i]
  std::vector<int> digit;   // digit d becomes digit[d]; digit[0] = 0
};

// The same text for two puzzles with unique solutions exactly if (4x4, 6x6) they are symmetric: the
// smallest image under the whole group, digits relabelled by first appearance. For 9x9, whose group
// has 3,359,232 geometric elements, a hash that is invariant under the group: symmetric puzzles
// always agree, others almost never. Good for splitting: copies never end up on two sides.
std::string symmetry_class(const SudokuRules& rules, const Grid& puzzle, const Grid& solution);

}  // namespace hrm
