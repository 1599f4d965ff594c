// The playground in a browser, beside the native program:
//
//     node playground.mjs PAGE MODELS BUILD
//
// MODELS has the models of the page, BUILD is a build tree.
import {execFileSync, spawn} from 'node:child_process';
import {existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import {pathToFileURL} from 'node:url';

import {Browser} from './browser.mjs';
import {apart, Cases, must, mustBehave, mustEqual} from './cases.mjs';

const [file, models, build] = process.argv.slice(2).map((path) => resolve(path));
const url = pathToFileURL(file).href;
const hrm = join(build, 'hrm'), trace = join(build, 'tests/trace');
const work = mkdtempSync(join(tmpdir(), 'hrm-pages-'));
const run = (program, ...args) =>
    execFileSync(program, args, {encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore']});
const linesOf = (text) => text.trim().split('\n').map((line) => JSON.parse(line));

const browser = new Browser(process.env.CHROMIUM ?? 'chromium');
const cases = new Cases();
const text = (id) => `document.getElementById('${id}').textContent`;
const quoted = JSON.stringify;

// A page that is ready to use.
async function opened(hash = '', options = {}) {
  const page = await browser.open(url + hash, options);
  await page.until('document.querySelector("main")?.hidden === false && hrm.trace()');
  return page;
}
const click = (page, id) => page.evaluate(`document.getElementById('${id}').click()`);
const set = (page, id, value) => page.evaluate(`{
  const input = document.getElementById('${id}');
  input.value = ${quoted(String(value))};
  input.dispatchEvent(new Event('input', {bubbles: true}));
  input.dispatchEvent(new Event('change', {bubbles: true}));
}`);
// The answer of a call of the page's worker, without typed arrays.
const ask = (page, call, args = {}) => page.evaluate(
    `hrm.ask(${quoted(call)}, ${quoted(args)}).then((answer) => JSON.parse(JSON.stringify(answer,
       (_, value) => ArrayBuffer.isView(value) ? Array.from(value) : value)))`);

const page = await opened();

await cases.run('loads without a network, an error or a request', async () => {
  await page.until('document.querySelectorAll(".segment").length === hrm.state.segments');
  await mustBehave(page, url);
});

for (const [name, puzzle] of [
         ['sudoku4', '41.2234.3..4..2.'], ['sudoku6', '..5.....3.4.......52.1.4....61..6...']])
  await cases.run(`${name}: the tokens and logits of the native program`, async () => {
    const native = linesOf(run(trace, 'solve', join(models, `${name}.safetensors`), puzzle));
    const {tokens} = await ask(page, 'puzzle', {name, text: puzzle});
    const {segments} = await ask(page, 'trace', {name, tokens, options: {segments: native.length}});
    let worst = 0;
    for (const [i, segment] of segments.entries()) {
      const digits = segment.answer.map((token) => token > 1 ? String(token - 1) : '.').join('');
      mustEqual(digits, native[i].answer, `the answer behind segment ${i + 1}`);
      worst = Math.max(worst, apart(segment.logits, native[i].logits));
      must(Math.abs(segment.halting.halt - native[i].q_halt) < 1e-3, 'q_halt differs');
    }
    must(worst < 1e-4, `logits are ${worst} apart`);
    return `${worst.toExponential(1)} apart`;
  });

const SMALL = 'hidden_size=64 puzzle_emb_ndim=64 batch_size=16 total_steps=200';
await cases.run('50 training steps: the loss curve of the native program', async () => {
  mkdirSync(join(work, 'native'));
  const native = linesOf(run(trace, 'train', join(work, 'native')));
  await ask(page, 'train', {side: 4, seed: 1, count: 400, test: 40, settings: SMALL, paused: true});
  const here = [];
  for (const _ of native) here.push(await ask(page, 'run', {steps: 1}));
  mustEqual(here.length, 50, 'the steps');
  const worst = apart(here.map(({loss}) => loss), native.map(({loss}) => loss));
  must(here.at(-1).loss < here[0].loss, 'nothing was learnt');
  must(worst < 1e-3, `losses are ${worst} apart`);
  return `${worst.toExponential(1)} apart`;
});

await cases.run('the buttons train, and the first unseen puzzle is solved', async () => {
  await click(page, 'start');
  await page.until(`${text('train-text')}.includes('The first unseen puzzle was solved')`, 180);
  await click(page, 'pause');
  mustEqual(await page.evaluate(text('pause')), 'Resume', 'the button');
  for (const name of ['loss', 'unseen puzzles solved', 'segments a training puzzle', 'cosine'])
    must(
        await page.evaluate(`[...document.querySelectorAll('.plot')].some((plot) =>
          plot.textContent.includes(${quoted(name)}) && plot.querySelector('polyline, circle'))`),
        `there is no curve of ${name}`);
  const steps = (await ask(page, 'run', {steps: 1})).step;
  await new Promise((resolve) => setTimeout(resolve, 400));
  mustEqual((await ask(page, 'run', {steps: 1})).step, steps + 1, 'paused at step');
  return /solved after \d+ s/.exec(await page.evaluate(text('train-text')))[0];
});

let saved = null;
await cases.run('the saved weights: hrm eval finds what the page found', async () => {
  await page.downloadTo(work);
  await click(page, 'export');
  const path = join(work, 'model.safetensors');
  for (let i = 0; i < 100 && !existsSync(path); ++i)
    await new Promise((resolve) => setTimeout(resolve, 100));
  must(existsSync(path), `no file was saved: ${readdirSync(work)}`);
  saved = path;
  const data = join(work, 'data');
  run(hrm, 'data', 'sudoku', '--side', '4', '--count', '5000', '--test', '200', '--seed', '1',
      '--out', data);
  const native = JSON.parse(run(hrm, 'eval', '--run', path, '--data', data, '--json'));
  const here = await ask(page, 'evaluate', {puzzles: 0});
  mustEqual(native.solved.length, 200, 'the puzzles');
  mustEqual(here.solved, native.solved, 'the solved puzzles');
  must(Math.abs(here.accuracy - native.accuracy) < 1e-3, 'accuracies differ');
  return `${(100 * native.exact_accuracy).toFixed(1)} % of 200`;
});

await cases.run('the trained model is watched', async () => {
  await click(page, 'watch-trained');
  await page.until('hrm.state.model === "trained" && document.querySelector(".cell.given")');
  mustEqual(await page.evaluate('document.getElementById("model").value'), 'trained', 'the model');
});

// Files dropped on the page, [name, bytes as base64] each.
const drop = (files) => page.evaluate(`{
  const data = new DataTransfer();
  for (const [name, bytes] of ${quoted(files)})
    data.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], name));
  document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true}));
}`);
const base64 = (bytes) => Buffer.from(bytes).toString('base64');

await cases.run('a saved model dropped on the page is taken', async () => {
  await drop([['mine.safetensors', base64(readFileSync(saved))]]);
  await page.until('hrm.state.model === "file"');
  mustEqual(await page.evaluate(text('file-problem')), '', 'the problem');
});

await cases.run('broken files are told of in one line each', async () => {
  const whole = readFileSync(saved);
  const huge = Buffer.from(whole);
  huge.writeBigUInt64LE(0x7fffffffffffffffn, 0);
  const config = execFileSync(hrm, ['info', '--help'], {encoding: 'utf8'});
  const broken = {
    'nothing': [['model.safetensors', '']],
    'noise': [['model.safetensors', base64('Not a model, but a sentence of some length.')]],
    'the first half': [['model.safetensors', base64(whole.subarray(0, whole.length / 2))]],
    'a header as long as the sea': [['model.safetensors', base64(huge)]],
    'a picture': [['cat.png', base64([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, 0, 0, 0, 13])]],
    'settings alone': [['config.json', base64('{}')]],
    'settings that are none': [['a.safetensors', base64(whole)], ['config.json', base64(config)]],
    'settings of another kind':
        [['a.safetensors', base64(whole)], ['config.json', base64('{"model": [1]}')]],
  };
  for (const [what, files] of Object.entries(broken)) {
    await page.evaluate(`${text('file-problem')} = ''`);
    await drop(files);
    const line = await page.until(text('file-problem'));
    must(!line.includes('\n') && line.length < 400, `${what}: ${line}`);
    must(
        /^\[[\w -]+\] /.test(line) && !/undefined|null|object Object/.test(line),
        `${what}: ${line}`);
  }
  const limits =
      await ask(page, 'puzzle', {name: 'file', text: '.'.repeat(16)}).catch((e) => e.message);
  must(limits.tokens?.length === 16, 'the model before them is lost');
  mustEqual(page.problems, [], 'console');
  return `${Object.keys(broken).length} files`;
});

await cases.run('a wrong puzzle is told of in one line', async () => {
  await set(page, 'puzzle', '12x4');
  await page.evaluate('document.getElementById("puzzle-form").requestSubmit()');
  const line = await page.until(text('puzzle-problem'));
  must(!line.includes('\n'), line);
  await click(page, 'another');
  await page.until(`${text('puzzle-problem')} === ''`);
});
await page.close();

await cases.run('puzzles are drawn, each with one answer', async () => {
  const other = await opened();
  const drawn = new Set();
  for (const model of ['sudoku4', 'sudoku6']) {
    await set(other, 'model', model);
    await other.until(`hrm.state.model === '${model}' && !document.querySelector('[aria-busy]')`);
    for (let i = 0; i < 5; ++i) {
      const before = await other.evaluate('hrm.state.puzzle');
      await click(other, 'another');
      await other.until(`hrm.state.puzzle !== ${quoted(before)}`);
      const text = await other.evaluate('hrm.state.puzzle');
      const {solution, problem} = await ask(other, 'puzzle', {name: model, text});
      must(solution !== null && /\d/.test(text), `${text}: ${problem}`);
      drawn.add(text);
    }
  }
  mustEqual(drawn.size, 10, 'different puzzles');
  await other.close();
});

await cases.run('a link restores what its sender saw', async () => {
  const sender = await opened();
  await set(sender, 'model', 'sudoku6');
  await sender.until('hrm.state.model === "sudoku6" && hrm.trace().segments.length > 0');
  await click(sender, 'another');
  await set(sender, 'segments', 5);
  await set(sender, 'noise', 0.25);
  await set(sender, 'seed', 7);
  await set(sender, 'copies', 4);
  await set(sender, 'rule', 'confidence');
  await set(sender, 'threshold', 0.5);
  await sender.until('hrm.trace().segments.length === 5 && !document.querySelector("[aria-busy]")');
  await sender.evaluate('document.querySelector(".update:nth-child(3)").click()');
  await sender.evaluate('document.querySelectorAll(".steps button")[3].click()');
  await sender.until('location.hash.includes("u=3") && location.hash.includes("l=4")');
  const seen = `[location.hash, ${text('where')}, ${text('halting')}, ${text('caption')},
    document.getElementById('puzzle').value, document.getElementById('board').textContent,
    ...['model', 'segments', 'noise', 'seed', 'copies', 'rule', 'threshold'].map(
        (id) => document.getElementById(id).value)]`;
  const there = await sender.evaluate(seen), hash = await sender.evaluate('location.hash');
  const receiver = await opened(hash);
  await receiver.until(`${text('where')} === ${quoted(there[1])}`);
  mustEqual(await receiver.evaluate(seen), there, 'what is seen');
  const fresh = await opened();
  must(await fresh.evaluate(text('where')) !== there[1], 'the link says nothing');
  for (const other of [sender, receiver, fresh]) await other.close();
});

await cases.run('a link with nonsense in it opens the page as without', async () => {
  const other = await opened(
      '#m=<b>&p=' +
      '9'.repeat(16) + '&s=1e9&r=x&t=NaN&n=-1&c=99&u=1.5&l=8');
  mustEqual(
      await other.evaluate('[hrm.state.segments, hrm.state.copies, hrm.state.rule, hrm.state.at]'),
      [8, 1, 'model', 0], 'the state');
  mustEqual(other.problems, [], 'console');
  await other.close();
});

await cases.run('by keyboard alone', async () => {
  const other = await opened();
  const where = () => other.evaluate('hrm.state.at');
  await other.key('ArrowRight');
  await other.key('ArrowRight');
  await other.key('ArrowLeft');
  mustEqual(await where(), 1, 'right, right, left');
  await other.key('End');
  mustEqual(await where(), 48, 'End');
  await other.key('Home');
  mustEqual(await where(), 0, 'Home');
  await other.evaluate('document.querySelector(".cell").focus()');
  await other.key('ArrowRight');
  await other.key('ArrowDown');
  mustEqual(
      await other.evaluate(
          '[...document.querySelectorAll(".cell")].indexOf(document.activeElement)'),
      5, 'the cell with the focus');
  const before = await other.evaluate('document.getElementById("puzzle").value');
  await other.key(before[5] === '1' ? '2' : '1');
  const expected = before.slice(0, 5) + (before[5] === '1' ? '2' : '1') + before.slice(6);
  await other.until(`document.getElementById('puzzle').value === ${quoted(expected)}`);
  await other.close();
});

await cases.run('a clicked cell shows what it reads', async () => {
  const other = await opened();
  await other.evaluate('document.querySelector("#attention summary").click()');
  await other.evaluate('document.querySelectorAll(".cell")[6].click()');
  await other.until(`${text('attention-text')}.includes('row 2, column 3')`);
  await other.close();
});

await cases.run('seven captions, each with a part of the page lit', async () => {
  const other = await opened();
  const titles = new Set();
  for (let i = 0; i < 7; ++i) {
    await other.evaluate(`document.querySelectorAll('.steps button')[${i}].click()`);
    titles.add(await other.evaluate('document.querySelector("#caption h3").textContent'));
    must(
        await other.evaluate('document.querySelector(".lit")?.checkVisibility()'),
        `nothing is lit at ${i + 1}`);
  }
  mustEqual(titles.size, 7, 'titles');
  await other.close();
});

for (const [what, options] of [
         ['on a phone', {width: 360, height: 740}], ['dark', {dark: true}],
         ['dark, on a phone', {width: 390, height: 844, dark: true}]])
  await cases.run(`${what}: nothing cut, everything named, all texts legible`, async () => {
    const other = await opened('', options);
    await other.evaluate('document.querySelector("#attention summary").click()');
    await mustBehave(other, url);
    await other.close();
  });

await cases.run('a reader who wants no motion gets none', async () => {
  const other = await opened();
  const moving = '[...document.querySelectorAll("*")].filter((node) => ' +
      'parseFloat(getComputedStyle(node).transitionDuration) > 0).length';
  must(await other.evaluate(moving) > 0, 'nothing moves anyway');
  await other.send(
      'Emulation.setEmulatedMedia',
      {features: [{name: 'prefers-reduced-motion', value: 'reduce'}]});
  mustEqual(await other.evaluate(moving), 0, 'what moves');
  await other.close();
});

await cases.run('hrm playground serves the page with a model of the user first', async () => {
  const server = spawn(
      hrm, ['playground', '--run', saved, '--page', file, '--no-browser'],
      {stdio: ['ignore', 'pipe', 'inherit']});
  try {
    const said = await new Promise((resolve) => server.stdout.once('data', resolve));
    const address = /http:\S+/.exec(String(said))[0];
    const other = await browser.open(address);
    await other.until('document.querySelector("main")?.hidden === false && hrm.trace()');
    mustEqual(
        await other.evaluate('[...hrm.models.keys()]'), ['run', 'sudoku4', 'sudoku6'], 'models');
    mustEqual(await other.evaluate('document.getElementById("model").value'), 'run', 'the model');
    await mustBehave(other, address);
    const sent = await other.evaluate('fetch(location.href).then(() => true, () => false)');
    must(!sent, 'the page can send something');
    await other.close();
  } finally {
    server.kill('SIGTERM');
  }
  mustEqual(await new Promise((resolve) => server.once('exit', resolve)), 0, 'the exit status');
});

await cases.run('hrm playground --out writes it', async () => {
  const path = join(work, 'mine.html');
  run(hrm, 'playground', '--run', saved, '--page', file, '--out', path);
  const other = await browser.open(pathToFileURL(path).href);
  await other.until('document.querySelector("main")?.hidden === false && hrm.trace()');
  mustEqual(
      await other.evaluate('hrm.state.model || [...hrm.models.keys()][0]'), 'run', 'the model');
  await mustBehave(other, pathToFileURL(path).href);
  await other.close();
});

await browser.close();
rmSync(work, {recursive: true, force: true});
cases.end();
