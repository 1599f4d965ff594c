// Runs the library beside the page, which never waits for it: one message in, one answer out, and
// news of a training in between.

import {Engine} from './engine.js';
import {attentionOf, traceOf} from './trace.js';

let engine;
const models = new Map();  // by name
let training = null;       // {handle, data, cells, running, evaluated, steps, best}

function keep(name, model) {
  models.get(name)?.free();
  models.set(name, model);
  return describe(name);
}
function describe(name) {
  const {sizes, updates, config} = models.get(name);
  return {name, sizes, updates, config};
}
function trained() {
  if (!training)
    throw new Error('[page] no training has begun. HINT: press Train from random weights');
  return training.handle;
}
function modelNamed(name) {
  const model = models.get(name);
  if (!model)
    throw new Error(`[page] there is no model ${name} yet. HINT: choose another, or train one`);
  return model;
}

const MOST_UPDATES = 64;  // of a segment: the page shows each, and waits for all
function mustFit({config, updates}) {
  if (config.task?.task !== 'sudoku')
    throw new Error(
        '[page] this page shows Sudoku only. HINT: the commands hrm solve and hrm report show every kind');
  if (updates.length > MOST_UPDATES)
    throw new Error(`[page] a segment of this model has ${
        updates.length} updates, and this page shows at most ${
        MOST_UPDATES}. HINT: the command hrm solve`);
}

const calls = {
  load({name, bytes, config}) {
    const model = engine.parseModel(bytes, config);
    try {
      mustFit(model);
    } catch (error) {
      model.free();
      throw error;
    }
    return keep(name, model);
  },
  // A puzzle's tokens and its answer; the answer is null if there is none, or several.
  puzzle({name, text}) {
    const model = modelNamed(name), tokens = model.parse(text);
    try {
      return {tokens, solution: model.solution(tokens), problem: ''};
    } catch (error) {
      return {tokens, solution: null, problem: error.message};
    }
  },
  trace({name, tokens, options}) {
    const model = modelNamed(name), puzzle = Int32Array.from(tokens);
    const trace = traceOf(model, puzzle, options);
    for (const segment of trace.segments)
      segment.wrong = model.wrong(puzzle, Int32Array.from(segment.vote.answer));
    return trace;
  },
  attention: ({name, tokens, options, updatesDone, level, cell}) =>
      attentionOf(modelNamed(name), Int32Array.from(tokens), options, updatesDone, level, cell),
  export: ({name}) => modelNamed(name).weights(),

  // --- training
  // On puzzles of its own. pause() and run() take the place of the clock if it is to begin paused.
  train({side, seed, settings, count = side === 4 ? 5000 : 10000, test = 200, paused = false}) {
    calls.stop();
    const folder = `/data-${side}-${seed}-${count}-${test}`;
    if (!engine.c.FS.analyzePath(folder).exists)
      engine.makeData('sudoku', side, count, test, seed, folder);
    const handle = engine.train(folder, 'sudoku4', settings);
    training = {
      handle,
      running: !paused,
      steps: 0,
      nextEvaluation: 0,
      nextGradient: 0,
      chunk: 1,
      firstSolved: null,
      rule: /(?:^| )gradient=(\S+)/.exec(settings)?.[1] ?? 'one_step',
      seconds: 0
    };
    if (!paused) schedule();
    return keep('trained', handle.model());
  },
  // So many steps at once; the metrics of the last.
  run({steps}) {
    trained().run(steps);
    return trained().metrics();
  },
  evaluate: ({puzzles}) => trained().evaluate(puzzles),
  pause() {
    if (training) training.running = false;
  },
  resume() {
    if (!training || training.running) return;
    training.running = true;
    schedule();
  },
  stop() {
    training?.handle.free();
    training = null;
  },
  // The model as it is now, under the name 'trained'.
  takeTrained() {
    return keep('trained', trained().model());
  },
  heldOut({number}) {
    const {puzzle} = trained().puzzle(number, modelNamed('trained').sizes.cells);
    return modelNamed('trained').text(puzzle);
  },
};

// Between two pieces of a training messages are read.
function schedule() {
  const current = training;
  setTimeout(() => {
    if (training !== current || !current.running) return;
    try {
      trainOn(current);
      schedule();
    } catch (error) {
      current.running = false;
      postMessage({news: 'failed', error: error.message});
    }
  });
}

const PIECE = 150, EVALUATE_EVERY = 4, GRADIENT_EVERY = 12;  // milliseconds; seconds of training

function trainOn(t) {
  const started = performance.now();
  t.handle.run(t.chunk);
  const took = performance.now() - started;
  t.seconds += took / 1000;
  t.chunk = Math.max(1, Math.min(200, Math.round(t.chunk * PIECE / took)));
  const metrics = t.handle.metrics();
  postMessage({news: 'step', seconds: t.seconds, metrics});
  if (t.seconds >= t.nextGradient) {
    t.nextGradient = t.seconds + GRADIENT_EVERY;
    try {
      const report = t.handle.gradients(t.rule);
      postMessage({news: 'gradient', step: metrics.step, cosine: report.rules[0].cosine.all});
    } catch (error) {
      t.nextGradient = Infinity;  // a rule that cannot be measured
    }
  }
  if (t.seconds < t.nextEvaluation) return;
  t.nextEvaluation = t.seconds + EVALUATE_EVERY;
  const {exact_accuracy: exact, mean_steps: segments, solved} = t.handle.evaluate(100);
  if (t.firstSolved === null && solved.includes('1'))
    t.firstSolved = {number: solved.indexOf('1'), seconds: t.seconds};
  postMessage({
    news: 'evaluation',
    step: metrics.step,
    seconds: t.seconds,
    exact,
    segments,
    firstSolved: t.firstSolved
  });
}

onmessage = async ({data: {id, call, args, wasm}}) => {
  try {
    if (call === 'start') {
      engine = new Engine(await createHrm({wasmBinary: wasm}));
      postMessage({id, result: engine.version()});
      return;
    }
    postMessage({id, result: calls[call](args ?? {}) ?? null});
  } catch (error) {
    postMessage({id, error: error.message});
  }
};
