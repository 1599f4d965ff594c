// One puzzle through all its segments, as the page plays it back: every update with what H would
// answer behind it, every segment with what is said of halting. With several copies the same puzzle
// is solved under other names of the digits, too, and the copies vote.

// Whole numbers below 2^32 from a seed (mulberry32), for names of digits.
export function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
}

// token -> token: the digits, tokens from 2 on, in a random order; padding and blank stay.
export function otherNames(vocab, random) {
  const names = Array.from({length: vocab}, (_, token) => token);
  for (let i = vocab - 1; i > 2; --i) {
    const j = 2 + random() % (i - 1);
    [names[i], names[j]] = [names[j], names[i]];
  }
  return names;
}

// Softmax of each row of `vocab` logits, in place of them.
export function toProbabilities(logits, vocab) {
  for (let row = 0; row < logits.length; row += vocab) {
    const cell = logits.subarray(row, row + vocab);
    const most = cell.reduce((a, b) => Math.max(a, b));
    let sum = 0;
    for (let i = 0; i < vocab; ++i) sum += cell[i] = Math.exp(cell[i] - most);
    for (let i = 0; i < vocab; ++i) cell[i] /= sum;
  }
  return logits;
}

// The most frequent of the copies' answers; of equally frequent ones the one with the larger mean
// q_halt, as `hrm eval --select vote` does.
export function vote(answers, halting) {
  const votes = new Map();
  answers.forEach((answer, i) => {
    const key = answer.join();
    const entry = votes.get(key) ?? {answer, count: 0, halt: 0};
    entry.count += 1;
    entry.halt += halting[i].halt;
    votes.set(key, entry);
  });
  const order = (a, b) => b.count - a.count || b.halt / b.count - a.halt / a.count;
  return [...votes.values()].sort(order)[0];
}

// The puzzle under so many names: its tokens, copy behind copy, and the way back of each.
function copiesOf(puzzle, vocab, copies, seed) {
  const random = randomNumbers(seed);
  const tokens = new Int32Array(copies * puzzle.length), back = [];
  for (let copy = 0; copy < copies; ++copy) {
    const names = copy === 0 ? Array.from({length: vocab}, (_, t) => t) : otherNames(vocab, random);
    puzzle.forEach((token, cell) => tokens[copy * puzzle.length + cell] = names[token]);
    const inverse = new Array(vocab);
    names.forEach((name, token) => inverse[name] = token);
    back.push(inverse);
  }
  return {tokens, back};
}

// {segments, noise, seed, copies} -> {start, segments: [{updates, halting, answer, logits, vote}]};
// a state is {level, probabilities [cells, vocab], change}, logits are [cells, vocab]. Of several
// copies all but the vote is that of the first, the puzzle as it is.
export function traceOf(model, puzzle, {segments, noise = 0, seed = 0, copies = 1}) {
  const {cells, vocab} = model.sizes;
  const {tokens, back} = copiesOf(puzzle, vocab, copies, seed);
  const refinement = model.refine(tokens, copies, noise, seed);
  const look = (level) => ({
    level,
    probabilities: toProbabilities(refinement.logits().slice(0, cells * vocab), vocab),
    change: refinement.change()[0],
  });
  try {
    const trace = {start: look(''), segments: []};
    for (let segment = 0; segment < segments; ++segment) {
      const updates = [];
      for (let i = 0; i < model.updates.length; ++i) updates.push(look(refinement.update()));
      const all = refinement.answers(), halting = refinement.halting(),
            logits = refinement.logits().slice(0, cells * vocab);
      const answers = back.map(
          (names, copy) =>
              Array.from(all.subarray(copy * cells, (copy + 1) * cells), (token) => names[token]));
      trace.segments.push({
        updates,
        halting: halting[0],
        answer: answers[0],
        logits,
        vote: vote(answers, halting),
      });
    }
    return trace;
  } finally {
    refinement.free();
  }
}

// The segment (from 1) at which a rule stops, 0 if it never does.
export function haltSegment(trace, rule, threshold) {
  const says = {
    model: (h) => h.margin > threshold,
    residual: (h) => h.residual < threshold,
    confidence: (h) => h.confidence > threshold,
    repeat: (h) => h.repeats,
    never: () => false,
  }[rule];
  return 1 + trace.segments.findIndex((segment) => says(segment.halting));
}

// What a cell takes from where in the next update of a level: [layers][heads][cells], behind so
// many updates of the trace with the same options.
export function attentionOf(model, puzzle, {noise = 0, seed = 0}, updatesDone, level, cell) {
  const {heads, positions, cells} = model.sizes, layers = model.sizes[`${level}_layers`];
  const refinement = model.refine(puzzle, 1, noise, seed);
  try {
    for (let i = 0; i < updatesDone; ++i) refinement.update();
    const all = refinement.attention(level), prefix = positions - cells;
    return Array.from({length: layers}, (_, layer) => Array.from({length: heads}, (_, head) => {
      const row = ((layer * heads + head) * positions + prefix + cell) * positions;
      return all.slice(row + prefix, row + positions);
    }));
  } finally {
    refinement.free();
  }
}
