// The puzzles that a person names on the command line: one as text, or a file of one or many.
//
//     for (const PuzzleText& puzzle : read_puzzles("puzzles.txt", fits)) solve(puzzle.text);
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace hrm {

struct PuzzleText {
  std::string text;
  std::string where;  // "puzzles.txt line 3"; "" for the only puzzle
};

// `given`: a puzzle itself, or the name of a file of puzzles (- is the standard input). A file
// holds one puzzle, in a line or in several; or a puzzle in each line; or puzzles with empty lines
// between them; or CSV with a column `question` or `puzzle`. Which of these it is, `fits` decides:
// whether a text is one whole puzzle of the kind and size that the model takes. Where puzzles have
// no '#', a line that begins with it is a comment, wherever it stands. A text that does not fit in
// any of these ways comes back as one puzzle, whose parser will say what is wrong.
std::vector<PuzzleText> read_puzzles(const std::string& given,
                                     const std::function<bool(const std::string&)>& fits);

}  // namespace hrm
