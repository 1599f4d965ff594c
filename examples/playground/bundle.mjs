// Puts the page together: `node bundle.mjs OUT PROGRAM.js PROGRAM.wasm [NAME LABEL
// MODEL.safetensors PUZZLES.txt]...`. The modules are joined in order, without their imports and
// exports; the program and the weights are compressed.
import {readFileSync, writeFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {gzipSync} from 'node:zlib';

const here = dirname(fileURLToPath(import.meta.url)), shared = join(here, '../../hrm/view');
const [out, program, wasm, ...models] = process.argv.slice(2);
const packed = (file) => gzipSync(readFileSync(file), {level: 9}).toString('base64');
const joined = (...names) =>
    names
        .map(
            (name) =>
                readFileSync(name === 'viewer.js' ? join(shared, name) : join(here, name), 'utf8')
                    .replace(/^import .*\n/gm, '')
                    .replace(/^export /gm, ''))
        .join('\n');
// Inside an element of the page its end must not occur.
const inScript = (text) => text.replaceAll('</script', '<\\/script').replaceAll('<!--', '<\\!--');

const list = [];
for (let i = 0; i < models.length; i += 4) {
  const [name, label, weights, puzzles] = models.slice(i, i + 4);
  list.push({
    name,
    label,
    weights: packed(weights),
    puzzles: readFileSync(puzzles, 'utf8').trim().split('\n')
  });
}
const parts = {
  STYLE: readFileSync(join(shared, 'style.css'), 'utf8') +
      readFileSync(join(here, 'style.css'), 'utf8'),
  WASM: packed(wasm),
  MODELS: JSON.stringify(list),
  WORKER: inScript(readFileSync(program, 'utf8') + joined('engine.js', 'trace.js', 'worker.js')),
  APP: inScript(`(() => {\n${
      joined(
          'viewer.js', 'trace.js', 'board.js', 'strip.js', 'plots.js', 'learn.js', 'draw.js',
          'link.js', 'app.js')}\n})();`),
};
const page = readFileSync(join(here, 'page.html'), 'utf8')
                 .replace(/\{\{(\w+)\}\}/g, (_, name) => parts[name]);
writeFileSync(out, page);
console.log(`${out}: ${(page.length / 1e6).toFixed(2)} MB`);
