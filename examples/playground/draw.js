// Draws a puzzle: a symmetric copy of one that is known. Whoever has not seen the one has not seen
// the other; but no two copies look alike.

// random(): whole numbers below 2^32.
function shuffled(list, random) {
  const all = [...list];
  for (let i = all.length - 1; i > 0; --i) {
    const j = random() % (i + 1);
    [all[i], all[j]] = [all[j], all[i]];
  }
  return all;
}
const upTo = (count) => Array.from({length: count}, (_, i) => i);

// Rows trade places inside their boxes, and boxes do as a whole.
function orderOfLines(side, box, random) {
  return shuffled(upTo(side / box), random)
      .flatMap((band) => shuffled(upTo(box), random).map((line) => band * box + line));
}

// puzzle: digits, with dots for open cells, row by row.
export function symmetricCopy(puzzle, {side, box_rows: boxRows, box_cols: boxCols}, random) {
  const rows = orderOfLines(side, boxRows, random), columns = orderOfLines(side, boxCols, random);
  const digits = shuffled(upTo(side), random);
  const renamed = (cell) => /[1-9]/.test(cell) ? String(digits[Number(cell) - 1] + 1) : '.';
  return rows.flatMap((row) => columns.map((column) => renamed(puzzle[row * side + column])))
      .join('');
}
