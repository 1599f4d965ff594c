// The functions of hrm/c_api.h as objects. Runs in the page's worker, and under node in the tests.
// Numbers come back as typed arrays of their own; what fails throws an Error with the library's
// line.

const INT = 4;

// `module`: what createHrm() of build/wasm/hrm.js resolves to.
export class Engine {
  constructor(module) {
    this.c = module;
  }

  error() {
    return new Error(this.c.UTF8ToString(this.c._hrm_error()));
  }
  // A status or a pointer, unless the call failed.
  done(status) {
    if (status < 0) throw this.error();
    return status;
  }
  made(pointer) {
    if (pointer === 0) throw this.error();
    return pointer;
  }
  text(pointer) {
    return this.c.UTF8ToString(this.made(pointer));
  }

  // Calls f with the addresses of copies of the arguments, texts or typed arrays, which are freed
  // behind it.
  with(values, f) {
    const addresses = values.map((value) => {
      const bytes = typeof value === 'string' ?
          new TextEncoder().encode(value + '\0') :
          new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
      const at = this.c._malloc(Math.max(1, bytes.length));
      if (at === 0)
        throw new Error('[memory] there is not enough. HINT: a smaller model, or fewer copies');
      this.c.HEAPU8.set(bytes, at);
      return at;
    });
    try {
      return f(...addresses);
    } finally {
      for (const at of addresses) this.c._free(at);
    }
  }

  // What f(address) writes: `count` elements of a typed array.
  read(Type, count, f) {
    const at = this.c._malloc(Math.max(1, count * Type.BYTES_PER_ELEMENT));
    if (at === 0)
      throw new Error('[memory] there is not enough. HINT: a smaller model, or fewer copies');
    try {
      this.done(f(at));
      return new Type(this.c.HEAPU8.slice(at, at + count * Type.BYTES_PER_ELEMENT).buffer);
    } finally {
      this.c._free(at);
    }
  }

  version() {
    return this.c.UTF8ToString(this.c._hrm_version());
  }

  // A model from the bytes of a safetensors file; config: the text of its config.json, if it is not
  // in the file.
  parseModel(bytes, config) {
    const pointer = this.with(
        config === undefined ? [bytes] : [bytes, config],
        (at, text) => this.made(this.c._hrm_model_parse(at, bytes.length, text ?? 0)));
    return new EngineModel(this, pointer);
  }

  makeData(kind, side, count, test, seed, folder) {
    this.with(
        [kind, folder],
        (name, out) => this.done(this.c._hrm_make_data(name, side, count, test, seed, out)));
  }
  train(folder, preset, settings) {
    return new EngineTraining(
        this,
        this.with(
            [folder, preset, settings], (...texts) => this.made(this.c._hrm_train(...texts))));
  }
}

const SIZES = [
  'cells', 'vocab', 'positions', 'hidden', 'heads', 'H_layers', 'L_layers', 'updates', 'segments',
  'parameters'
];

class EngineModel {
  constructor(engine, pointer) {
    this.engine = engine;
    this.pointer = pointer;
    const values =
        engine.read(Int32Array, SIZES.length, (at) => engine.c._hrm_model_sizes(pointer, at));
    this.sizes = Object.fromEntries(SIZES.map((name, i) => [name, values[i]]));
    this.updates = engine.text(engine.c._hrm_model_updates(pointer));
    this.config = JSON.parse(engine.text(engine.c._hrm_model_config(pointer)));
  }
  free() {
    this.engine.c._hrm_model_free(this.pointer);
    this.pointer = 0;
  }
  // A safetensors file.
  weights() {
    const {c} = this.engine;
    let start = 0;
    const [bytes] = this.engine.read(Int32Array, 1, (at) => {
      start = c._hrm_model_weights(this.pointer, at);
      return start === 0 ? -1 : 0;
    });
    return c.HEAPU8.slice(start, start + bytes);
  }
  parse(text) {
    return this.engine.with(
        [text],
        (at) => this.engine.read(
            Int32Array, this.sizes.cells, (to) => this.engine.c._hrm_parse(this.pointer, at, to)));
  }
  text(tokens) {
    return this.engine.with(
        [tokens], (at) => this.engine.text(this.engine.c._hrm_text(this.pointer, at)));
  }
  // '' or what is wrong.
  wrong(puzzle, answer) {
    return this.engine.with(
        [puzzle, answer],
        (...at) => this.engine.text(this.engine.c._hrm_wrong(this.pointer, ...at)));
  }
  solution(puzzle) {
    return this.engine.with(
        [puzzle],
        (at) => this.engine.read(
            Int32Array, this.sizes.cells,
            (to) => this.engine.c._hrm_solution(this.pointer, at, to)));
  }
  // puzzles: tokens of `count` puzzles, one behind the other.
  refine(puzzles, count, noise = 0, seed = 0) {
    const pointer = this.engine.with(
        [puzzles],
        (at) => this.engine.made(this.engine.c._hrm_refine(this.pointer, at, count, noise, seed)));
    return new EngineRefinement(this, pointer, count);
  }
}

class EngineRefinement {
  constructor(model, pointer, count) {
    this.model = model;
    this.engine = model.engine;
    this.pointer = pointer;
    this.count = count;
  }
  free() {
    this.engine.c._hrm_refinement_free(this.pointer);
    this.pointer = 0;
  }
  // 'L' or 'H'.
  update() {
    return String.fromCharCode(this.engine.done(this.engine.c._hrm_update(this.pointer)));
  }
  segment() {
    this.engine.done(this.engine.c._hrm_segment(this.pointer));
  }
  logits() {
    const {cells, vocab} = this.model.sizes;
    return this.engine.read(
        Float32Array, this.count * cells * vocab,
        (to) => this.engine.c._hrm_logits(this.pointer, to));
  }
  answers() {
    return this.engine.read(
        Int32Array, this.count * this.model.sizes.cells,
        (to) => this.engine.c._hrm_answers(this.pointer, to));
  }
  change() {
    return this.engine.read(
        Float32Array, this.count, (to) => this.engine.c._hrm_change(this.pointer, to));
  }
  // [count, layers, heads, positions, positions] of level 'H' or 'L'.
  attention(level) {
    const {heads, positions} = this.model.sizes, layers = this.model.sizes[`${level}_layers`];
    return this.engine.read(
        Float32Array, this.count * layers * heads * positions * positions,
        (to) => this.engine.c._hrm_attention(this.pointer, level.charCodeAt(0), to));
  }
  // One object for each puzzle.
  halting() {
    const raw = this.engine.read(
        Uint8Array, this.count * 6 * INT,
        (to) => this.engine.c._hrm_halting_values(this.pointer, to));
    const floats = new Float32Array(raw.buffer), ints = new Int32Array(raw.buffer);
    return Array.from({length: this.count}, (_, i) => ({
                                              halt: floats[6 * i],
                                              goOn: floats[6 * i + 1],
                                              margin: floats[6 * i + 2],
                                              residual: floats[6 * i + 3],
                                              confidence: floats[6 * i + 4],
                                              repeats: ints[6 * i + 5] === 1,
                                            }));
  }
}

class EngineTraining {
  constructor(engine, pointer) {
    this.engine = engine;
    this.pointer = pointer;
  }
  free() {
    this.engine.c._hrm_training_free(this.pointer);
    this.pointer = 0;
  }
  run(steps) {
    this.engine.done(this.engine.c._hrm_training_run(this.pointer, steps));
  }
  metrics() {
    return JSON.parse(this.engine.text(this.engine.c._hrm_training_metrics(this.pointer)));
  }
  evaluate(puzzles) {
    return JSON.parse(
        this.engine.text(this.engine.c._hrm_training_evaluate(this.pointer, puzzles)));
  }
  gradients(rules) {
    return this.engine.with(
        [rules],
        (at) =>
            JSON.parse(this.engine.text(this.engine.c._hrm_training_gradients(this.pointer, at))));
  }
  model() {
    return new EngineModel(
        this.engine, this.engine.made(this.engine.c._hrm_training_model(this.pointer)));
  }
  // A held-out puzzle and its answer.
  puzzle(number, cells) {
    const both = this.engine.read(
        Int32Array, 2 * cells,
        (to) => this.engine.c._hrm_training_puzzle(this.pointer, number, to, to + cells * INT));
    return {puzzle: both.slice(0, cells), answer: both.slice(cells)};
  }
}
