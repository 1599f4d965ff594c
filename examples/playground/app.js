// The page: its state, and what happens when something in it changes.

import {Player} from '../../hrm/view/viewer.js';

import {Board, element} from './board.js';
import {symmetricCopy} from './draw.js';
import {Learn} from './learn.js';
import {readLink, writeLink} from './link.js';
import {Plot} from './plots.js';
import {Strip} from './strip.js';
import {haltSegment, randomNumbers} from './trace.js';

const $ = (id) => document.getElementById(id);
const state = readLink(location.hash);
const models = new Map();  // by name: sizes, updates, config
let puzzle = null;         // {text, tokens, solution, problem}
let trace = null;
let chosen = null;     // cell whose attention is shown
let attention = null;  // [layers][heads][cells]

// --- the worker --------------------------------------------------------------------------------

let worker, waiting = new Map(), calls = 0;

function ask(call, args = {}, extra = {}) {
  return new Promise((resolve, reject) => {
    waiting.set(++calls, {resolve, reject});
    worker.postMessage({id: calls, call, args, ...extra});
  });
}
function onMessage({data}) {
  if (data.news) return onNews(data);
  const {resolve, reject} = waiting.get(data.id);
  waiting.delete(data.id);
  if (data.error === undefined)
    resolve(data.result);
  else
    reject(new Error(data.error));
}

function bytesOf(base64) {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; ++i) bytes[i] = text.charCodeAt(i);
  return bytes;
}
async function unpacked(base64, encoding = 'gzip') {
  if (encoding === 'none') return bytesOf(base64);
  const stream = new Blob([bytesOf(base64)]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function begin() {
  worker = new Worker(
      URL.createObjectURL(new Blob([$('worker').textContent], {type: 'text/javascript'})));
  worker.onmessage = onMessage;
  worker.onerror = (event) => say(`[page] the worker failed: ${event.message}`);
  let problem = '';  // of a model; the others are there all the same
  await ask('start', {}, {wasm: await unpacked($('wasm').textContent.trim())});
  for (const {name, label, weights, encoding, puzzles} of JSON.parse($('models').textContent)) {
    try {
      const bytes = await unpacked(weights, encoding);
      addModel({...await ask('load', {name, bytes}), label, puzzles});
    } catch (error) {
      problem = `${label}: ${error.message}`;
    }
  }
  if (models.size === 0) throw new Error(problem);
  document.querySelector('main').hidden = false;
  $('status').hidden = problem === '';
  $('status').textContent = problem;
  await applyState();
}

function say(text) {
  $('status').hidden = false;
  $('status').textContent = text;
}

// --- models and puzzles --------------------------------------------------------------------------

function addModel(model) {
  const old = models.get(model.name);
  models.set(model.name, {...old, ...model});
  if (!old) $('model').append(element('option', {value: model.name}, model.label ?? model.name));
}
const modelNow = () => models.get(state.model) ?? models.values().next().value;
const sideOf = (model) => model.config.task.side;

async function setPuzzle(text) {
  const model = modelNow();
  try {
    puzzle = {text, ...await ask('puzzle', {name: model.name, text})};
    state.puzzle = text;
    $('puzzle-problem').textContent = puzzle.problem;
  } catch (error) {
    $('puzzle-problem').textContent = error.message;
    return false;
  }
  chosen = attention = null;
  await refine();
  return true;
}

function examplesOf(model) {
  return model.puzzles ??
      [...models.values()]
          .find((other) => other.puzzles && sideOf(other) === sideOf(model))
          ?.puzzles ??
      [];
}

async function chooseModel(name) {
  state.model = models.has(name) ? name : modelNow().name;
  const model = modelNow(), {side, box_rows: boxRows, box_cols: boxCols} = model.config.task;
  $('model').value = model.name;
  learn.updates = [...model.updates].join(' ');
  learn.show(state.caption);
  board.layOut(side, boxRows, boxCols);
  fill($('layer'), (model.sizes.L_layers || model.sizes.H_layers));
  fill($('head'), model.sizes.heads, 'mean of all');
  $('attention').hidden = model.sizes.heads === 0;
  const fits = state.puzzle.length === model.sizes.cells;
  if (!await setPuzzle(
          fits ? state.puzzle : examplesOf(model)[0] ?? '.'.repeat(model.sizes.cells))) {
    await setPuzzle(examplesOf(model)[0] ?? '.'.repeat(model.sizes.cells));
  }
  $('puzzle').value = state.puzzle;
}
function fill(select, count, first = null) {
  const options =
      Array.from({length: count}, (_, i) => element('option', {value: i}, String(i + 1)));
  select.replaceChildren(...(first ? [element('option', {value: -1}, first)] : []), ...options);
}

// --- refinement ----------------------------------------------------------------------------------

// One trace at a time: what changes meanwhile, a slider say, makes one more behind it.
let tracing = null, again = false;
function refine() {
  again = true;
  tracing ??= traceWhileAsked().finally(() => tracing = null);
  return tracing;
}
async function traceWhileAsked() {
  while (again) {
    again = false;
    const {segments, noise, seed, copies} = state;
    const slow = setTimeout(() => $('board').setAttribute('aria-busy', 'true'), 300);
    try {
      trace = await ask(
          'trace',
          {name: modelNow().name, tokens: puzzle.tokens, options: {segments, noise, seed, copies}});
    } catch (error) {
      $('puzzle-problem').textContent = error.message;
      return;
    } finally {
      clearTimeout(slow);
      $('board').removeAttribute('aria-busy');
    }
  }
  drawStrip();
  player.begin(trace.segments.length * perSegment(), state.at);
}

const perSegment = () => modelNow().updates.length;
// The state behind so many updates.
function stateAt(number) {
  if (number === 0) return trace.start;
  const s = Math.floor((number - 1) / perSegment());
  return trace.segments[s].updates[(number - 1) % perSegment()];
}

function drawStrip() {
  const model = modelNow(), halt = haltSegment(trace, state.rule, state.threshold);
  strip.show(
      {trace, vocab: model.sizes.vocab, side: sideOf(model), solution: puzzle.solution, halt});
  strip.mark(state.at);
  learn.light();
  sayHalting(halt);
}
function sayHalting(halt) {
  const end = trace.segments[(halt || trace.segments.length) - 1];
  const verdict =
      end.wrong === '' ? 'the answer is right' : `the answer is not right: ${end.wrong}`;
  const votes =
      state.copies > 1 ? ` ${end.vote.count} of ${state.copies} copies vote for this answer;` : '';
  $('halting').textContent = `${
      halt ?
          `The rule stops after segment ${halt};` :
          `The rule does not stop within ${trace.segments.length} segments;`}${votes} ${verdict}.`;
}

// The board behind so many updates.
function showUpdate(number) {
  state.at = number;
  attention = null;
  draw();
  if (chosen !== null) showAttention();
  link();
}
function draw() {
  const model = modelNow(), now = stateAt(state.at);
  board.show({
    puzzle: puzzle.tokens,
    state: now,
    before: state.at > 0 ? stateAt(state.at - 1) : null,
    vocab: model.sizes.vocab,
    solution: puzzle.solution,
    chosen,
    attention: attentionShown()
  });
  strip.mark(state.at);
  const s = Math.ceil(state.at / perSegment()), u = (state.at - 1) % perSegment() + 1;
  $('where').textContent = state.at === 0 ?
      'Before the first update' :
      `Segment ${s}, update ${u} of ${perSegment()}: ${now.level}. Its state moved by ${
          (100 * now.change).toFixed(1)} %.`;
}

// --- attention -----------------------------------------------------------------------------------

function attentionShown() {
  if (!attention || chosen === null) return null;
  const heads = attention[Math.min(attention.length - 1, Number($('layer').value))],
        head = Number($('head').value);
  if (head >= 0) return heads[head];
  return heads[0].map((_, cell) => heads.reduce((sum, row) => sum + row[cell], 0) / heads.length);
}
async function showAttention() {
  const model = modelNow(), cell = chosen, at = state.at;
  if (model.sizes.heads === 0 || !$('attention').open) return;
  const level = model.sizes.L_layers === 0 ? 'H' : $('level').value;
  try {
    const result = await ask('attention', {
      name: model.name,
      tokens: puzzle.tokens,
      options: {noise: state.noise, seed: state.seed},
      updatesDone: at,
      level,
      cell
    });
    if (cell !== chosen || at !== state.at) return;
    attention = result;
    const row = Math.floor(cell / sideOf(model)) + 1, column = cell % sideOf(model) + 1;
    $('attention-text').textContent = `What the cell in row ${row}, column ${
        column} would read if ${level} were updated now; amber: more.`;
  } catch (error) {
    $('attention-text').textContent = error.message;
  }
  draw();
}
function chooseCell(cell) {
  chosen = chosen === cell || !$('attention').open ? null : cell;
  attention = null;
  if (chosen === null) $('attention-text').textContent = '';
  draw();
  if (chosen !== null) showAttention();
}

// --- settings ------------------------------------------------------------------------------------

// What the threshold of a rule means, and where it lies.
const THRESHOLDS = {
  model: {min: -5, max: 5, step: .1, start: 0},
  confidence: {min: 0, max: 1, step: .01, start: .9},
  residual: {min: 0, max: 1, step: .01, start: .05},
  repeat: null,
  never: null,
};
function showSettings() {
  for (const name of ['segments', 'noise', 'copies']) {
    $(name).value = state[name];
    $(`${name}-value`).textContent = state[name];
  }
  $('seed').value = state.seed;
  $('rule').value = state.rule;
  const scale = THRESHOLDS[state.rule];
  $('threshold').disabled = scale === null;
  if (scale)
    Object.assign(
        $('threshold'), {min: scale.min, max: scale.max, step: scale.step, value: state.threshold});
  $('threshold-value').textContent = scale ? state.threshold : 'none';
}

let linking;
function link() {
  clearTimeout(linking);
  linking = setTimeout(() => history.replaceState(null, '', writeLink(state)), 150);
}

async function applyState() {
  showSettings();
  await chooseModel(state.model);
}

// --- training ------------------------------------------------------------------------------------

// name: [label, default, choices]
const TRAIN = {
  side: ['Puzzle', '4', [['4', '4x4 Sudoku'], ['6', '6x6 Sudoku']]],
  gradient: [
    'Gradient', 'one_step',
    [
      ['one_step', 'one step (HRM)'], ['last_k:4', 'last 4 updates'],
      ['full_bptt', 'all updates of a segment']
    ]
  ],
  H_cycles: ['Cycles in a segment', '2', ['1', '2', '3', '4']],
  L_cycles: ['L updates in a cycle', '2', ['1', '2', '3', '4']],
  layers: ['Layers', '1', ['1', '2']],
  hidden_size: ['Width', '64', ['32', '64', '96', '128']],
  lr: ['Learning rate', '2e-3', ['5e-4', '1e-3', '2e-3', '4e-3']],
  seed: ['Seed', '0', ['0', '1', '2', '3']],
};
function makeTrainForm() {
  for (const [name, [label, value, choices]] of Object.entries(TRAIN)) {
    const options = choices.map((choice) => Array.isArray(choice) ? choice : [choice, choice]);
    $('train-form')
        .append(element(
            'label', {}, label,
            element(
                'select', {name},
                ...options.map(
                    ([key, text]) =>
                        element('option', {value: key, selected: key === value}, text)))));
  }
}
function trainSettings() {
  const {side, layers, hidden_size: hidden, seed, ...rest} =
      Object.fromEntries(new FormData($('train-form')));
  const settings = {
    ...rest,
    hidden_size: hidden,
    puzzle_emb_ndim: 0,
    puzzle_emb_len: 0,
    num_heads: 4,
    H_layers: layers,
    L_layers: layers,
    pos_encodings: 'learned_and_rope',
    rope: 'grid',
    rope_theta: 10,
    seed,
    batch_size: 32,
    total_steps: 20000,
    lr_warmup_steps: 20,
    halt_max_steps: side === '4' ? 4 : 8
  };
  return {
    side: Number(side),
    seed: 1,
    settings: Object.entries(settings).map(([key, value]) => `${key}=${value}`).join(' ')
  };
}
const plots = {};
function makePlots() {
  const parent = document.querySelector('.plots'),
        share = (value) => `${Math.round(100 * value)} %`;
  plots.loss = new Plot(parent, 'loss');
  plots.exact = new Plot(parent, 'unseen puzzles solved', {most: 1, format: share});
  plots.segments =
      new Plot(parent, 'segments a training puzzle', {format: (value) => value.toFixed(1)});
  plots.cosine = new Plot(
      parent, 'cosine to the full gradient', {most: 1, format: (value) => value.toFixed(2)});
}
let trainedFor = 0, rate = 0, firstSolved = null, exact = null;
async function startTraining() {
  Object.values(plots).forEach((plot) => plot.clear());
  firstSolved = exact = null;
  try {
    const model = await ask('train', trainSettings());
    addModel({...model, label: 'the one trained here'});
  } catch (error) {
    $('train-text').textContent = error.message;
    return;
  }
  for (const id of ['pause', 'watch-trained', 'export']) $(id).disabled = false;
  setPaused(false);
}
function setPaused(paused) {
  $('pause').textContent = paused ? 'Resume' : 'Pause';
  $('pause').dataset.paused = paused ? '1' : '';
}
function onNews(data) {
  if (data.news === 'failed') {
    $('train-text').textContent = data.error;
    return setPaused(true);
  }
  if (data.news === 'step') {
    trainedFor = data.seconds;
    rate = data.metrics.samples_per_second;
    plots.loss.add(trainedFor, data.metrics.loss);
    if (data.metrics.finished > 0) plots.segments.add(trainedFor, data.metrics.steps);
  } else if (data.news === 'gradient') {
    plots.cosine.add(trainedFor, data.cosine);
  } else if (data.news === 'evaluation') {
    exact = data.exact;
    firstSolved = data.firstSolved;
    plots.exact.add(data.seconds, exact);
  }
  const first = firstSolved ?
      ` The first unseen puzzle was solved after ${Math.round(firstSolved.seconds)} s.` :
      ' No unseen puzzle is solved yet.';
  $('train-text').textContent =
      `${Math.round(trainedFor)} s, ${Math.round(rate)} segments a second${
          exact === null ? '.' :
                           `; ${Math.round(100 * exact)} of 100 unseen puzzles solved.`}${first}`;
}
async function watchTrained() {
  const model = await ask('takeTrained');
  addModel({...model, label: 'the one trained here'});
  state.puzzle = firstSolved ? await ask('heldOut', {number: firstSolved.number}) : '';
  state.at = 0;
  await chooseModel('trained');
  $('watch').scrollIntoView(
      {behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth'});
}
async function exportTrained() {
  await ask('takeTrained');
  const bytes = await ask('export', {name: 'trained'});
  const url = URL.createObjectURL(new Blob([bytes], {type: 'application/octet-stream'}));
  element('a', {href: url, download: 'model.safetensors'}).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

// --- files ---------------------------------------------------------------------------------------

const MOST_BYTES = 400e6;
async function openFiles(files) {
  const list = [...files], weights = list.find((file) => !file.name.endsWith('.json')),
        config = list.find((file) => file.name.endsWith('.json'));
  $('file-problem').textContent = '';
  try {
    if (!weights)
      throw new Error(
          '[page] there is no file with weights. HINT: model.safetensors, and config.json beside it if it is that of a run');
    if (weights.size > MOST_BYTES)
      throw new Error(
          `[page] ${weights.name} is larger than this page takes. HINT: the command hrm solve`);
    const model = await ask('load', {
      name: 'file',
      bytes: new Uint8Array(await weights.arrayBuffer()),
      config: config && await config.text()
    });
    addModel({...model, label: weights.name});
    state.at = 0;
    await chooseModel('file');
  } catch (error) {
    $('file-problem').textContent = error.message;
  }
}

// --- what the user does
// ----------------------------------------------------------------------------

const board = new Board($('board'), {
  onCell: chooseCell,
  onDigit: (cell, digit) => {
    const text = puzzle.text.slice(0, cell) + digit + puzzle.text.slice(cell + 1);
    $('puzzle').value = text;
    setPuzzle(text);
  }
});
const player = new Player(
    Object.fromEntries(
        ['first', 'back', 'play', 'next', 'last', 'position'].map((id) => [id, $(id)])),
    showUpdate);
const strip = new Strip($('strip'), (number) => player.moveTo(number));
const learn = new Learn(document.querySelector('.steps'), $('caption'), (number) => {
  state.caption = number;
  learn.show(number);
  link();
});
makeTrainForm();
makePlots();

$('puzzle-form').onsubmit = (event) => {
  event.preventDefault();
  state.at = 0;
  setPuzzle($('puzzle').value.trim());
};
$('model').onchange = () => {
  state.at = 0;
  chooseModel($('model').value);
};
const dice = randomNumbers(Date.now());
$('another').onclick = () => {
  const model = modelNow(), examples = examplesOf(model);
  if (examples.length === 0) return;
  const example = examples[dice() % examples.length];
  $('puzzle').value = symmetricCopy(example, model.config.task, dice);
  state.at = 0;
  setPuzzle($('puzzle').value);
};
$('clear').onclick = () => {
  $('puzzle').value = '.'.repeat(modelNow().sizes.cells);
  state.at = 0;
  setPuzzle($('puzzle').value);
};
document.addEventListener('keydown', (event) => {
  if (event.target.closest('input, select, textarea, .board, [contenteditable]') || event.ctrlKey ||
      event.metaKey || event.altKey)
    return;
  if (!trace || (event.key === ' ' && event.target.closest('button, summary'))) return;
  if (player.key(event.key)) event.preventDefault();
});

for (const name of ['segments', 'noise', 'copies'])
  $(name).oninput = () => {
    state[name] = Number($(name).value);
    showSettings();
    refine();
  };
$('seed').onchange = () => {
  state.seed = Math.max(0, Math.min(4294967295, Math.floor(Number($('seed').value) || 0)));
  showSettings();
  refine();
};
$('rule').onchange = () => {
  state.rule = $('rule').value;
  state.threshold = THRESHOLDS[state.rule]?.start ?? 0;
  showSettings();
  drawStrip();
  link();
};
$('threshold').oninput = () => {
  state.threshold = Number($('threshold').value);
  showSettings();
  drawStrip();
  link();
};
for (const id of ['level', 'layer', 'head'])
  $(id).onchange = () => {
    attention = null;
    showAttention();
  };
$('attention').ontoggle = () => {
  if (!$('attention').open) {
    chosen = attention = null;
    draw();
  }
};
$('copy-link').onclick = async () => {
  history.replaceState(null, '', writeLink(state));
  try {
    await navigator.clipboard.writeText(location.href);
    const own = ['trained', 'file'].includes(state.model);
    $('copy-link').textContent = own ? 'Copied, but this model stays here' : 'Copied';
  } catch {
    $('copy-link').textContent = 'It is in the address bar';
  }
  setTimeout(() => $('copy-link').textContent = 'Copy a link to this', 2000);
};

$('start').onclick = startTraining;
$('pause').onclick = () => {
  const paused = !$('pause').dataset.paused;
  ask(paused ? 'pause' : 'resume');
  setPaused(paused);
};
$('watch-trained').onclick = watchTrained;
$('export').onclick = exportTrained;
$('file').onchange = () => openFiles($('file').files);
for (const name of ['dragover', 'dragleave', 'drop'])
  addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.toggle('dropping', name === 'dragover');
    if (name === 'drop') openFiles(event.dataTransfer.files);
  });
addEventListener('hashchange', () => {
  Object.assign(state, readLink(location.hash));
  applyState();
});

// For the console, and for pages around this one: what the buttons do, and what they work on.
window.hrm = {
  ask,
  state,
  models,
  trace: () => trace
};
begin().catch((error) => say(error.message));
