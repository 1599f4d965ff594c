#include "hrm/tasks/sudoku.h"

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>

namespace hrm {
namespace {

// Depth-first search over bit masks of free digits.
class Solver {
 public:
  Solver(const SudokuRules& rules, int limit) : rules_(rules), limit_(limit) {
    const int n = rules.side;
    all_ = static_cast<uint16_t>((1 << n) - 1);
    row_.fill(all_);
    col_.fill(all_);
    box_.fill(all_);
    units_.resize(3 * n);
    for (int cell = 0; cell < n * n; ++cell) {
      const int r = cell / n, c = cell % n, b = rules.box_of(r, c);
      row_of_[cell] = r;
      col_of_[cell] = c;
      box_of_[cell] = b;
      units_[r].push_back(cell);
      units_[n + c].push_back(cell);
      units_[2 * n + b].push_back(cell);
    }
  }

  SudokuSolution run(const Grid& puzzle) {
    grid_ = Grid(rules_.cells(), 0);
    for (int cell = 0; cell < rules_.cells(); ++cell)
      if (puzzle[cell] > 0) {
        const auto bit = static_cast<uint16_t>(1 << (puzzle[cell] - 1));
        if (!(candidates(cell) & bit)) return {};
        place(cell, bit);
      }
    search();
    return std::move(result_);
  }

 private:
  uint16_t candidates(int cell) const {
    return row_[row_of_[cell]] & col_[col_of_[cell]] & box_[box_of_[cell]];
  }
  void place(int cell, uint16_t bit) {
    grid_[cell] = std::countr_zero(bit) + 1;
    toggle(cell, bit);
    ++filled_;
  }
  void remove(int cell) {
    toggle(cell, static_cast<uint16_t>(1 << (grid_[cell] - 1)));
    grid_[cell] = 0;
    --filled_;
  }
  void toggle(int cell, uint16_t bit) {
    row_[row_of_[cell]] ^= bit;
    col_[col_of_[cell]] ^= bit;
    box_[box_of_[cell]] ^= bit;
  }

  // A digit with one place left in some unit: fills in cell and bit. False if a digit has none.
  bool hidden_single(int* found, uint16_t* bit) const {
    for (const std::vector<int>& unit : units_) {
      uint16_t once = 0, twice = 0, placed = 0;
      for (const int cell : unit) {
        if (grid_[cell]) {
          placed |= static_cast<uint16_t>(1 << (grid_[cell] - 1));
          continue;
        }
        const uint16_t free = candidates(cell);
        twice |= once & free;
        once |= free;
      }
      if ((once | placed) != all_) return false;
      const auto single = static_cast<uint16_t>(once & ~twice);
      if (!single) continue;
      *bit = static_cast<uint16_t>(single & -single);
      for (const int cell : unit)
        if (!grid_[cell] && (candidates(cell) & *bit)) *found = cell;
      return true;
    }
    return true;
  }

  void search() {
    std::vector<int> placed;  // by this call, to be taken back
    bool dead = false;
    int best = -1;
    uint16_t best_bits = 0;
    while (filled_ < rules_.cells()) {
      best = -1;
      int fewest = 99;
      for (int cell = 0; cell < rules_.cells() && fewest > 1; ++cell) {
        if (grid_[cell]) continue;
        const uint16_t free = candidates(cell);
        const int n = std::popcount(free);
        if (n < fewest) {
          fewest = n;
          best = cell;
          best_bits = free;
        }
        if (n == 0) break;
      }
      dead = fewest == 0;
      if (dead) break;
      if (fewest > 1) {
        int cell = -1;
        uint16_t bit = 0;
        dead = !hidden_single(&cell, &bit);
        if (dead || cell < 0) break;  // a contradiction, or a guess is needed
        best = cell;
        best_bits = bit;
      }
      place(best, best_bits);
      placed.push_back(best);
    }
    if (filled_ == rules_.cells()) {
      if (++result_.count == 1) result_.grid = grid_;
    } else if (!dead) {
      for (uint16_t bits = best_bits; bits && result_.count < limit_;
           bits = static_cast<uint16_t>(bits & (bits - 1))) {
        ++result_.guesses;
        place(best, static_cast<uint16_t>(bits & -bits));
        search();
        remove(best);
      }
    }
    for (const int cell : placed) remove(cell);
  }

  const SudokuRules& rules_;
  int limit_, filled_ = 0;
  uint16_t all_ = 0;
  std::array<uint16_t, 9> row_{}, col_{}, box_{};
  std::array<int, 81> row_of_{}, col_of_{}, box_of_{};
  std::vector<std::vector<int>> units_;
  Grid grid_;
  SudokuSolution result_;
};

std::vector<int> shuffled(int n, Random& random) {
  std::vector<int> order(n);
  std::iota(order.begin(), order.end(), 0);
  random.shuffle(order);
  return order;
}

// A permutation of `blocks` blocks of `size` lines that keeps blocks together.
std::vector<int> draw_lines(int blocks, int size, Random& random) {
  std::vector<int> lines;
  for (const int block : shuffled(blocks, random))
    for (const int line : shuffled(size, random)) lines.push_back(block * size + line);
  return lines;
}

// All such permutations, picked from all of up to six lines (720).
std::vector<std::vector<int>> all_lines(int blocks, int size) {
  std::vector<std::vector<int>> result;
  std::vector<int> lines(blocks * size);
  std::iota(lines.begin(), lines.end(), 0);
  do {
    bool together = true;
    for (int i = 0; i < blocks * size; ++i)
      together = together && lines[i] / size == lines[i / size * size] / size;
    if (together) result.push_back(lines);
  } while (std::next_permutation(lines.begin(), lines.end()));
  return result;
}

std::vector<int> cell_sources(const SudokuRules& rules, const std::vector<int>& rows,
                              const std::vector<int>& cols, bool transpose) {
  const int n = rules.side;
  std::vector<int> source(n * n);
  for (int r = 0; r < n; ++r)
    for (int c = 0; c < n; ++c)
      source[r * n + c] = transpose ? cols[c] * n + rows[r] : rows[r] * n + cols[c];
  return source;
}

// The geometric symmetries of 4x4 (128) and 6x6 (3,456), as cell sources.
const std::vector<std::vector<int>>& all_sources(const SudokuRules& rules) {
  const auto make = [](const SudokuRules& r) {
    std::vector<std::vector<int>> sources;
    for (const auto& rows : all_lines(r.side / r.box_rows, r.box_rows))
      for (const auto& cols : all_lines(r.side / r.box_cols, r.box_cols))
        for (int t = 0; t <= r.transposable(); ++t)
          sources.push_back(cell_sources(r, rows, cols, t));
    return sources;
  };
  static const auto four = make(SudokuRules::of_side(4)), six = make(SudokuRules::of_side(6));
  return rules.side == 4 ? four : six;
}

// For messages, which must stay one line of text whatever a file holds.
std::string printable(char ch) {
  if (ch >= ' ' && ch <= '~') return std::string("'") + ch + "'";
  return "byte " + std::to_string(static_cast<unsigned char>(ch));
}

uint64_t mix(uint64_t x) {  // splitmix64
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// Colour refinement on the cells: every round a cell's colour absorbs the multisets of colours in
// its row and column (as an unordered pair where transposition is a symmetry), its box, its band
// and stack, and the cells with its digit in the solution.
std::string invariant_hash(const SudokuRules& rules, const Grid& puzzle, const Grid& solution) {
  const int n = rules.side;
  std::vector<uint64_t> colour(n * n);
  for (int i = 0; i < n * n; ++i) colour[i] = mix(puzzle[i] != 0);
  for (int round = 0; round < 5; ++round) {
    std::vector<uint64_t> row(n), col(n), box(n), band(n), stack(n), digit(n + 1);
    for (int i = 0; i < n * n; ++i) {
      const int r = i / n, c = i % n;
      const uint64_t h = mix(colour[i]);
      row[r] += h;
      col[c] += h;
      box[rules.box_of(r, c)] += h;
      digit[solution[i]] += h;
      band[r / rules.box_rows] += h;
      stack[c / rules.box_cols] += h;
    }
    for (int i = 0; i < n * n; ++i) {
      const int r = i / n, c = i % n;
      uint64_t a = mix(row[r] ^ mix(band[r / rules.box_rows]));
      uint64_t b = mix(col[c] ^ mix(stack[c / rules.box_cols]));
      if (rules.transposable() && a > b) std::swap(a, b);
      colour[i] = mix(colour[i] + 3 * a + 5 * mix(b) + 7 * mix(box[rules.box_of(r, c)]) +
                      11 * mix(digit[solution[i]]));
    }
  }
  uint64_t total = 0;
  for (const uint64_t c : colour) total += mix(c);
  std::ostringstream text;
  text << std::hex << total;
  return text.str();
}

}  // namespace

SudokuRules SudokuRules::of_side(int side) {
  if (side == 4) return {4, 2, 2};
  if (side == 6) return {6, 2, 3};
  HRM_CHECK(side == 9, "[sudoku] side must be 4, 6 or 9, got ", side);
  return {9, 3, 3};
}

Grid parse_sudoku(std::string_view text, SudokuRules* rules) {
  int side = 0;
  for (const int s : {4, 6, 9})
    if (std::ssize(text) == s * s) side = s;
  HRM_CHECK(side, "[sudoku] a puzzle must have 16, 36 or 81 characters, got ", text.size());
  *rules = SudokuRules::of_side(side);
  Grid grid;
  for (size_t i = 0; i < text.size(); ++i) {
    const char ch = text[i];
    HRM_CHECK(ch == '.' || (ch >= '0' && ch <= '0' + side), "[sudoku] character ", i + 1,
              " must be '.', '0' or a digit 1-", side, ", got ", printable(ch));
    grid.push_back(ch == '.' ? 0 : ch - '0');
  }
  return grid;
}

std::string format_sudoku(const Grid& grid) {
  std::string text;
  for (const int d : grid) text += d ? static_cast<char>('0' + d) : '.';
  return text;
}

std::vector<int> to_tokens(const Grid& grid) {
  std::vector<int> tokens(grid);
  for (int& t : tokens) ++t;
  return tokens;
}

Grid from_tokens(const std::vector<int>& tokens) {
  Grid grid(tokens);
  for (int& d : grid) d = std::max(0, d - 1);
  return grid;
}

SudokuSolution solve_sudoku(const SudokuRules& rules, const Grid& puzzle, int limit) {
  return Solver(rules, limit).run(puzzle);
}

std::string check_solution(const SudokuRules& rules, const Grid& puzzle, const Grid& grid) {
  const int n = rules.side;
  const auto name = [](const char* what, int i) { return what + std::to_string(i + 1); };
  for (int i = 0; i < n * n; ++i) {
    const std::string cell =
        "cell (" + std::to_string(i / n + 1) + ", " + std::to_string(i % n + 1) + ")";
    if (grid[i] < 1 || grid[i] > n) return cell + " holds no digit";
    if (puzzle[i] && puzzle[i] != grid[i]) return cell + " changes a given";
  }
  for (int unit = 0; unit < 3 * n; ++unit) {
    std::vector<int> seen(n + 1);
    for (int i = 0; i < n * n; ++i) {
      const int r = i / n, c = i % n;
      const int index[3] = {r, c, rules.box_of(r, c)};
      if (index[unit / n] != unit % n || ++seen[grid[i]] < 2) continue;
      const char* kind[3] = {"row ", "column ", "box "};
      return name(kind[unit / n], unit % n) + " holds " + std::to_string(grid[i]) + " twice";
    }
  }
  return "";
}

Grid random_solution(const SudokuRules& rules, Random& random) {
  // The solver tries digits in order, so what makes the grid random is a few random cells to start
  // from (drawn again if they contradict each other) and a random symmetry of what comes out.
  Grid start(rules.cells());
  while (true) {
    std::ranges::fill(start, 0);
    for (int i = 0; i < rules.side; ++i) {
      const int cell = static_cast<int>(random.below(rules.cells()));
      start[cell] = 1 + static_cast<int>(random.below(rules.side));
    }
    const SudokuSolution s = solve_sudoku(rules, start, 1);
    if (s.count) return SudokuTransform::draw(rules, random).apply(s.grid);
  }
}

Grid remove_digits(const SudokuRules& rules, const Grid& solution, int givens, bool minimal,
                   Random& random) {
  Grid puzzle = solution;
  int left = rules.cells();
  for (const int cell : shuffled(rules.cells(), random)) {
    if (!minimal && left <= givens) break;
    const int digit = std::exchange(puzzle[cell], 0);
    if (solve_sudoku(rules, puzzle).count == 1)
      --left;
    else
      puzzle[cell] = digit;
  }
  return puzzle;
}

SudokuTransform SudokuTransform::draw(const SudokuRules& rules, Random& random) {
  SudokuTransform t;
  const bool transpose = rules.transposable() && random.uniform() < 0.5;
  t.digit = {0};
  for (const int d : shuffled(rules.side, random)) t.digit.push_back(d + 1);
  const std::vector<int> rows = draw_lines(rules.side / rules.box_rows, rules.box_rows, random);
  const std::vector<int> cols = draw_lines(rules.side / rules.box_cols, rules.box_cols, random);
  t.source = cell_sources(rules, rows, cols, transpose);
  return t;
}

Grid SudokuTransform::apply(const Grid& grid) const {
  Grid result(grid.size());
  for (size_t i = 0; i < grid.size(); ++i) result[i] = digit[grid[source[i]]];
  return result;
}

std::string symmetry_class(const SudokuRules& rules, const Grid& puzzle, const Grid& solution) {
  if (rules.side > 6) return invariant_hash(rules, puzzle, solution);
  const int cells = rules.cells();
  std::string best(cells, '~'), image(cells, '.');
  for (const std::vector<int>& source : all_sources(rules)) {
    // Relabel by first appearance, stopping at the first character that makes the image larger.
    char label[10] = {};
    char next = '1';
    bool smaller = false;
    int i = 0;
    for (; i < cells; ++i) {
      const int d = puzzle[source[i]];
      if (d && !label[d]) label[d] = next++;
      image[i] = d ? label[d] : '.';
      if (!smaller && image[i] != best[i]) {
        if (image[i] > best[i]) break;
        smaller = true;
      }
    }
    if (i == cells && smaller) best = image;
  }
  return best;
}

}  // namespace hrm
