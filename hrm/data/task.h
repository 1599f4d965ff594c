// What a kind of puzzle is: how it is written and drawn, what its rules are and which symmetries it
// has. Everything above asks a Task and names no puzzle itself. A kind is one file of hrm/tasks and
// one line in hrm/tasks/registry.cpp; hrm/tasks/n_queens.cpp is one that was made so.
//
//     const auto task = make_task(read_json("data/mine/task.json"), "data/mine/task.json");
//     const Tokens puzzle = task->parse("1...4...2...3...");
//     const std::string wrong = task->check(puzzle, answer);   // "" if it is solved
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hrm/support/json.h"
#include "tensor/random.h"

namespace hrm {

// The cells of a puzzle, row by row, as the model sees them. Token 0 is padding.
using Tokens = std::vector<int32_t>;

inline constexpr int kLargestSide = 1024;  // of a square puzzle

// A symmetric copy of a puzzle: its cell i is cell source[i] of the puzzle, where token t has
// become token[t].
struct Symmetry {
  std::vector<int> source;
  Tokens token;

  // Of inputs or labels, in place; a label that is not supervised stays.
  void apply(int32_t* tokens) const;
};

// A symmetric copy of an example, in place. `first`: the first example drawn of its puzzle.
using Augmentation =
    std::function<void(int32_t* inputs, int32_t* labels, bool first, Random& random)>;

// Cells side by side; a heavy line or a gap after every box.
struct CellLayout {
  int columns = 0, box_rows = 0, box_cols = 0;
};

// A cell on a page.
struct CellLook {
  std::string text;                   // "": nothing is written in it
  const char* fill = "var(--paper)";  // a CSS colour
};

struct ColourName {
  const char* fill;
  std::string name;
};

// How a terminal shows a puzzle: grids side by side, with wrong cells marked; the lines of text();
// ARC's coloured squares; rows of numbers.
enum class Drawing { cells, text, colours, numbers };

class Task {
 public:
  virtual ~Task() = default;

  // The name of the kind, "" if it is not known, and all that task.json says.
  virtual std::string kind() const = 0;
  virtual Json to_json() const = 0;
  // Cells of a puzzle; 0 if any number will do.
  virtual int64_t cells() const = 0;
  // Whether data of these sizes can be such puzzles.
  virtual bool fits(int64_t seq_len, int64_t vocab_size) const = 0;

  // --- a puzzle as text
  // What a person writes; an Error names the place that is wrong. Not every kind has such a form.
  virtual Tokens parse(std::string_view text) const;
  // Back again, in one line or in lines.
  virtual std::string text(const Tokens& tokens) const;
  // What a state of a puzzle is called: the key in the output of `hrm solve --json`.
  virtual const char* noun() const { return "grid"; }

  // --- rules
  // Whether check() and solution() know them.
  virtual bool has_rules() const { return false; }
  // "" if `answer` solves the puzzle, else what is wrong with it.
  virtual std::string check(const Tokens& inputs, const Tokens& answer) const;
  // One right answer. An Error if the puzzle has none, or not the number that it should have.
  virtual Tokens solution(const Tokens& inputs) const;
  // Whether a puzzle may have other right answers than the one stored with it. Then an evaluation
  // asks check(), beside comparing with the stored one.
  virtual bool several_answers() const { return false; }
  // What else `hrm solve --json` tells of a puzzle.
  virtual Json facts(const Tokens& inputs) const;

  // What a cell may hold in an answer, by its token in the puzzle: bit t of the result stands for
  // token t, and a given has one bit. 0 if puzzles of this kind are not solved by striking out what
  // a cell cannot hold (hrm/lattice).
  virtual uint32_t candidates(int32_t) const { return 0; }
  // What a search may ask of a full answer, cells() tokens as the puzzle: "", or what is wrong with
  // it, by those rules alone that are much easier to check than the puzzle is to solve. By default
  // there are none.
  virtual std::string refute(const Tokens&, const Tokens&) const { return ""; }

  // --- symmetries
  // Draws one of the symmetries that each puzzle of the kind has; empty if there is none.
  virtual std::function<Symmetry(Random&)> symmetries() const { return nullptr; }
  // A random symmetric copy, for training: by symmetries(), unless the kind knows others. Empty if
  // there is none.
  virtual Augmentation augmentation() const;
  // The same text for symmetric puzzles: a split into training and test keeps them together.
  virtual std::string symmetry_class(const Tokens& inputs, const Tokens& labels) const;
  // Tokens from this one on may trade places with each other everywhere; -1: none may.
  virtual int first_symbol() const { return -1; }

  // --- pictures
  virtual Drawing drawing() const { return Drawing::numbers; }
  virtual CellLayout layout(int64_t cells) const;
  virtual CellLook look(int32_t token) const;
  // A cell that is not to be filled in, by the token of the puzzle; one that is still open.
  virtual bool is_given(int32_t) const { return false; }
  virtual bool is_open(int32_t) const { return false; }
  // What the colours of look() stand for; empty if cells are told apart by their text.
  virtual std::vector<ColourName> legend() const { return {}; }
  // Whether a page marks the cells that differ from the stored answer.
  virtual bool marks_wrong_cells() const { return true; }
};

// Side of the smallest square with at least so many cells.
int square_side(int64_t cells);

}  // namespace hrm
