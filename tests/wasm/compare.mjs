// Holds two files of JSON lines beside each other: `node compare.mjs A B TOLERANCE`. Numbers may
// differ by so much, relative to the larger one or to 1; all else must be equal. Timings do not
// count. Prints what differs; the exit status is 1 if something does.
import {readFileSync} from 'node:fs';

const TIMES = ['elapsed', 'samples_per_second', 'seconds'];
const [first, second, tolerance] = process.argv.slice(2);
const linesOf = (file) =>
    readFileSync(file, 'utf8').trim().split('\n').map((line) => JSON.parse(line));

let worst = 0;
function differ(a, b, where) {
  if (typeof a === 'number' && typeof b === 'number') {
    const apart = Math.abs(a - b) / Math.max(1, Math.abs(a), Math.abs(b));
    worst = Math.max(worst, apart);
    return apart <= Number(tolerance) ? [] : [`${where}: ${a} and ${b}`];
  }
  if (a !== null && b !== null && typeof a === 'object' && typeof b === 'object') {
    const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
    return [...keys]
        .filter((key) => !TIMES.includes(key))
        .flatMap((key) => differ(a[key], b[key], `${where}.${key}`));
  }
  return a === b ? [] : [`${where}: ${JSON.stringify(a)} and ${JSON.stringify(b)}`];
}

const a = linesOf(first), b = linesOf(second);
const found = differ(a, b, 'line');
for (const line of found.slice(0, 5)) console.log(line);
console.log(`${a.length} lines, at most ${worst.toExponential(1)} apart`);
process.exit(found.length > 0 || a.length === 0 ? 1 : 0);
