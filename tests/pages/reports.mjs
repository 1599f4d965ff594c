// The pages that the program writes, in a browser:
//
//     node reports.mjs BUILD
import {execFileSync} from 'node:child_process';
import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import {pathToFileURL} from 'node:url';

import {Browser} from './browser.mjs';
import {Cases, must, mustBehave, mustEqual} from './cases.mjs';

const build = resolve(process.argv[2]);
const work = mkdtempSync(join(tmpdir(), 'hrm-pages-'));
const hrm = (...words) => execFileSync(
    join(build, 'hrm'), words, {cwd: work, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore']});
const tiny = [
  'hidden_size=16', 'puzzle_emb_ndim=16', 'num_heads=2', 'H_layers=1', 'L_layers=1'
].flatMap((setting) => ['--set', setting]);

// The same grid, turned upside down, as a task.
function arcTask(rows, columns) {
  const grid = (seed) => Array.from(
      {length: rows}, (_, r) => Array.from({length: columns}, (_, c) => (r * 3 + c * seed) % 10));
  const pair = (seed) => ({input: grid(seed), output: grid(seed).reverse()});
  return JSON.stringify({train: [pair(1), pair(2)], test: [pair(3)]});
}

function makePages() {
  const pages = {};
  // Long enough that some puzzles are solved, and not all.
  const quick = [
    'hidden_size=64', 'puzzle_emb_ndim=0', 'puzzle_emb_len=0', 'H_layers=1', 'L_layers=1',
    'pos_encodings=learned_and_rope', 'rope=grid', 'rope_theta=10', 'lr=2e-3', 'ema=0.99',
    'total_steps=300', 'eval_every=150'
  ];
  hrm('data', 'sudoku', '--side', '4', '--count', '5000', '--test', '200', '--out', 'ds');
  hrm('train', '--preset', 'sudoku4', '--data', 'ds', '--run', 'rs', '--set', ...quick);
  pages['a report of Sudoku'] = join(work, 'rs/report.html');
  hrm('data', 'maze', '--size', '8', '--min-path', '6', '--count', '60', '--test', '12', '--out',
      'dm');
  hrm('train', '--preset', 'maze10', '--data', 'dm', '--run', 'rm', '--steps', '3', ...tiny);
  pages['a report of mazes'] = join(work, 'rm/report.html');
  hrm('data', 'sudoku', '--side', '4', '--count', '200', '--test', '20', '--out', 'd4');
  hrm('train', '--preset', 'lattice4', '--data', 'd4', '--run', 'rl', '--steps', '3', '--set',
      'hidden_size=16', '--set', 'num_heads=2');
  pages['a report of a lattice'] = join(work, 'rl/report.html');
  for (const seed of ['1', '2'])
    hrm('train', '--preset', 'sudoku4', '--data', 'd4', '--run', `r${seed}`, '--steps', '6',
        '--set', `seed=${seed}`, '--set', 'eval_every=2', ...tiny);
  hrm('compare', 'r1', 'r2', '--out', 'compare.html');
  pages['a comparison'] = join(work, 'compare.html');
  for (const folder of ['training', 'evaluation'])
    mkdirSync(join(work, 'arc', folder), {recursive: true});
  writeFileSync(join(work, 'arc/training/t.json'), arcTask(4, 5));
  writeFileSync(join(work, 'arc/evaluation/e.json'), arcTask(6, 3));
  hrm('data', 'arc', '--from', 'arc', '--canvas', 'auto', '--variants', '3', '--out', 'da');
  hrm('train', '--preset', 'arc-task', '--data', 'da', '--run', 'ra', '--steps', '3', ...tiny);
  pages['a report of ARC'] = join(work, 'ra/report.html');
  hrm('arc', 'show', 'e', '--run', 'ra', '--variants', '2', '--out', 'task.html');
  pages['an ARC task'] = join(work, 'task.html');
  writeFileSync(join(work, 'lab.json'), JSON.stringify({
    title: 'Sizes of a batch',
    data: {sudoku: 'sudoku --side 4 --count 200 --test 20'},
    train: '--preset sudoku4',
    set: {
      hidden_size: 16,
      puzzle_emb_ndim: 16,
      num_heads: 2,
      H_layers: 1,
      L_layers: 1,
      total_steps: 2
    },
    vary: [
      {name: 'batch', path: 'set.batch_size', values: [8, 16]},
      {name: 'halting', values: {ACT: {set: {act: true}}, fixed: {set: {act: false}}}},
    ],
    charts: [
      {
        title: 'Solved',
        x: 'batch',
        series: 'halting',
        where: {segment: null},
        published: {'elsewhere': {8: 0.2, 16: 0.3}}
      },
      {title: 'Tokens right', x: 'batch', series: 'halting', y: 'tokens', where: {segment: null}},
    ],
  }));
  hrm('lab', 'run', 'lab.json', '--out', 'lab', '--jobs', '1');
  pages['an experiment'] = join(work, 'lab/lab/page.html');
  return pages;
}

const cases = new Cases();
const pages = makePages();
const browser = new Browser(process.env.CHROMIUM ?? 'chromium');
const addressOf = (name) => pathToFileURL(pages[name]).href;

for (const name of Object.keys(pages))
  for (const [how, options] of [['', {}], [', dark, on a phone', {width: 375, dark: true}]])
    await cases.run(`${name}${how}`, async () => {
      const page = await browser.open(addressOf(name), options);
      await mustBehave(page, addressOf(name));
      const small = await page.evaluate(`[...document.querySelectorAll('svg.chart text')].filter(
          (text) => text.getBoundingClientRect().height < 11).length`);
      mustEqual(small, 0, 'texts of a chart that are too small to read');
      await page.close();
    });

await cases.run('a puzzle is gone through by its slider and played', async () => {
  const page = await browser.open(addressOf('a report of Sudoku'));
  const shown = `[...document.querySelector('.puzzle').querySelectorAll('.frame')].map(
      (frame) => getComputedStyle(frame).display !== "none").indexOf(true)`;
  const note = `document.querySelector('.puzzle output').textContent`;
  const [last, start] = await page.evaluate(
      `[document.querySelector('.puzzle input').max, document.querySelector('.puzzle input').value]`);
  mustEqual(await page.evaluate(shown), Number(start), 'the frame at the start');
  must(/^segment \d+, q_halt \d+ %$/.test(await page.evaluate(note)), 'the note');
  await page.evaluate(`{
    const slider = document.querySelector('.puzzle input');
    slider.value = 0;
    slider.dispatchEvent(new Event('input'));
  }`);
  mustEqual(
      [await page.evaluate(shown), await page.evaluate(note)], [0, 'givens'], 'the first frame');
  await page.evaluate(`document.querySelector('.puzzle button').click()`);
  await page.until(`${note} === 'the answer'`);
  mustEqual(await page.evaluate(shown), Number(last), 'the last frame');
  await page.until(`document.querySelector('.puzzle button').textContent === 'Play'`);
  await page.close();
});

await cases.run('unsolved puzzles are there, and can be looked at alone', async () => {
  const page = await browser.open(addressOf('a report of Sudoku'));
  const seen = (state) =>
      page.evaluate(`[...document.querySelectorAll('.puzzle[data-state="${state}"]')].filter(
           (puzzle) => puzzle.checkVisibility()).length`);
  must(await seen('solved') > 0 && await seen('unsolved') > 0, 'both kinds are needed');
  await page.evaluate(`document.querySelector('[data-show="unsolved"]').click()`);
  mustEqual(await seen('solved'), 0, 'solved puzzles');
  must(await seen('unsolved') > 0, 'the unsolved ones are gone');
  must(
      await page.evaluate(`document.querySelector('.puzzle:not([hidden]) circle.wrong') !== null`),
      'no cell is marked');
  await page.close();
});

await cases.run('the names of a legend show and hide its lines', async () => {
  const page = await browser.open(addressOf('a comparison'));
  const lines = `[...document.querySelectorAll('polyline.n0, circle.n0')].filter(
      (line) => getComputedStyle(line).display !== "none").length`;
  const all = await page.evaluate(lines);
  must(all >= 4, `${all} lines`);
  await page.evaluate(`document.querySelector('[data-series="n0"]').click()`);
  mustEqual(await page.evaluate(lines), 0, 'lines');
  await page.evaluate(`document.querySelector('[data-series="n0"]').click()`);
  mustEqual(await page.evaluate(lines), all, 'lines');
  await page.close();
});

await cases.run('a page can send nothing', async () => {
  const page = await browser.open(addressOf('a comparison'));
  const refused = await page.evaluate(`new Promise((resolve) => {
    addEventListener('securitypolicyviolation', (event) => resolve(event.violatedDirective));
    fetch('http://127.0.0.1:9/').catch(() => setTimeout(() => resolve('nothing'), 1000));
  })`);
  mustEqual(refused, 'connect-src', 'what is refused');
  await page.close();
});

await browser.close();
rmSync(work, {recursive: true, force: true});
cases.end();
