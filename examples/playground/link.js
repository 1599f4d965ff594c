// The state of the page in its address, so that a link shows what its sender saw.

// Every field: its name in the address, its default, and what it may be: a pattern; or the least
// and the largest number, whole unless a step below 1 follows.
const FIELDS = {
  model: ['m', '', /^(sudoku4|sudoku6|run|trained)$/],
  puzzle: ['p', '', /^[0-9.]{16}$|^[0-9.]{36}$|^[0-9.]{81}$/],
  segments: ['s', 8, [1, 64]],
  rule: ['r', 'model', /^(model|confidence|residual|repeat|never)$/],
  threshold: ['t', 0, [-20, 20, .01]],
  noise: ['n', 0, [0, 5, .01]],
  seed: ['e', 0, [0, 4294967295]],
  copies: ['c', 1, [1, 16]],
  at: ['u', 0, [0, 64 * 1000]],
  caption: ['l', 0, [0, 7]],
};

export function defaults() {
  return Object.fromEntries(Object.entries(FIELDS).map(([field, [, value]]) => [field, value]));
}

function valid(value, allowed) {
  if (allowed instanceof RegExp) return allowed.test(value);
  const [least, most, step = 1] = allowed, number = Number(value);
  return value !== '' && number >= least && number <= most &&
      (step < 1 || Number.isInteger(number));
}

// Fields that are not there, or not allowed, keep their defaults.
export function readLink(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, '')), state = defaults();
  for (const [field, [key, value, allowed]] of Object.entries(FIELDS)) {
    const text = given.get(key);
    if (text !== null && valid(text, allowed))
      state[field] = typeof value === 'number' ? Number(text) : text;
  }
  return state;
}

export function writeLink(state) {
  const given = new URLSearchParams();
  for (const [field, [key, value]] of Object.entries(FIELDS))
    if (state[field] !== value) given.set(key, state[field]);
  return `#${given}`;
}
