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
function modelNamed(name) {
  const model = models.get(name);
  if (!model)
    throw new Error(`[page] there is no model ${name} yet. HINT: choose another, or train one`);
  return model;
}

const calls = {
  load: ({name, bytes, config}) => keep(name, engine.parseModel(bytes, config)),
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
    const model = modelNamed(name), trace = traceOf(model, tokens, options);
    for (const segment of trace.segments)
      segment.wrong = model.wrong(tokens, Int32Array.from(segment.vote.answer));
    return trace;
  },
  attention: ({name, tokens, options, updatesDone, level, cell}) =>
      attentionOf(modelNamed(name), tokens, options, updatesDone, level, cell),
  export: ({name}) => modelNamed(name).weights(),

  // --- training
  train({side, seed, settings}) {
    calls.stop();
    const folder = `/data-${side}-${seed}`;
    if (!engine.c.FS.analyzePath(folder).exists)
      engine.makeData('sudoku', side, side === 4 ? 5000 : 10000, 200, seed, folder);
    const handle = engine.train(folder, 'sudoku4', settings);
    training = {
      handle,
      running: true,
      steps: 0,
      nextEvaluation: 0,
      nextGradient: 0,
      chunk: 1,
      firstSolved: null,
      rule: /(?:^| )gradient=(\S+)/.exec(settings)?.[1] ?? 'one_step',
      seconds: 0
    };
    schedule();
    return keep('trained', handle.model());
  },
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
    if (!training) throw new Error('[page] no training has begun. HINT: press Train');
    return keep('trained', training.handle.model());
  },
  heldOut({number}) {
    if (!training) throw new Error('[page] no training has begun. HINT: press Train');
    const {puzzle} = training.handle.puzzle(number, modelNamed('trained').sizes.cells);
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
