// Bundles the compiled command into dist/command/: `domulator.cjs`, which package.json names as the command, `program.cjs`, which
// it runs, `crash_worker.cjs` and `entry/worker.js`, which its threads run, and `prepared.bin`, which these read: the results of long
// computations that depend on this software alone; and `build_id`, which tells this build from others of its version.
// docs/decisions/0021-a-bundled-command.md says why. Does nothing if all are newer than all that they are made of.
//
// Usage: node scripts/bundle.js
import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { rolldown } from 'rolldown';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = path.join(root, 'dist/command');
const launcher = path.join(folder, 'domulator.cjs');
const program = path.join(folder, 'program.cjs');
const preparedFile = path.join(folder, 'prepared.bin');
/** What tells builds apart; src/library/build_id.ts reads it where the software is not bundled. */
const buildIdFile = path.join(folder, 'build_id');
/** Stands for that in the bundle until it is known. */
const unknownId = 'the id of this build';
/** What a thread of the pool runs; src/library/crash_pool.ts names it. */
const crashWorker = path.join(folder, 'crash_worker.cjs');
/** What a thread begins with; the pool's package looks for it beside the bundle that it is in. */
const poolWorker = path.join(folder, 'entry/worker.js');

const modified = (file) => statSync(file).mtimeMs;

/** The time of the newest file that the bundle is made of, ms. */
function newestInput() {
  const modules = readdirSync(path.join(root, 'dist/src'), { recursive: true })
    .filter((name) => name.endsWith('.js') && !name.endsWith('.test.js'))
    .map((name) => path.join(root, 'dist/src', name));
  const others = ['package-lock.json', 'scripts/bundle.js'].map((name) => path.join(root, name));
  return Math.max(...[...modules, ...others].map(modified));
}

/** What is prepared, by name; each a value that JSON can hold but for its arrays of bytes (src/base/prepared.ts). */
async function preparedValues() {
  const load = async (module) => await import(pathToFileURL(path.join(root, 'dist/src', module)).href);
  const { interpreterValue } = await load('engine/prepared_interpreter.js');
  const { arm64 } = await load('engine/index.js');
  const { x86_64 } = await load('engine/x86_64/index.js');
  const { imageValue } = await load('builtin_guest/index.js');
  const { builtinSource } = await load('builtin_guest/arm64/index.js');
  const { a64, assemble } = await load('isa/index.js');
  const x86 = await load('builtin_guest/x86_64/index.js');
  return {
    'interpreter arm64': interpreterValue(arm64.model),
    'interpreter x86_64': interpreterValue(x86_64.model),
    'builtin guest arm64': imageValue(assemble(a64(), builtinSource())),
    'builtin guest amd64': imageValue(x86.assembleBuiltin()),
  };
}

/**
 * The file of prepared values. Returns where each is in it. Behind the arrays of bytes comes the JSON of each value, with offset and
 * length of each array in its place.
 */
function preparedBytes(values) {
  const parts = [];
  let size = 0;
  const add = (bytes) => {
    parts.push(bytes);
    size += bytes.length;
    return [size - bytes.length, bytes.length];
  };
  const places = {};
  for (const [name, value] of Object.entries(values)) {
    const json = JSON.stringify(value, (_, part) => (part instanceof Uint8Array ? add(part) : part));
    places[name] = add(Buffer.from(json));
  }
  return { places, bytes: Buffer.concat(parts) };
}

/** The module that stands for base/prepared.js in the bundle. `__dirname` is that of the bundle. */
const preparedModule = (places) => `
  import { readFileSync } from 'node:fs';
  const places = ${JSON.stringify(places)};
  let file = null;
  function bytes([offset, length]) {
    file ??= readFileSync(__dirname + '/prepared.bin');
    return new Uint8Array(file.buffer, file.byteOffset + offset, length);
  }
  export function prepared(name) {
    const place = places[name];
    return place === undefined ? null : { value: JSON.parse(Buffer.from(bytes(place)).toString()), bytes };
  }
`;

/**
 * The code of a module, named from the root, with all that it imports, as one script. `imports`: whether an import() of what is not
 * in it stays one. Node 20 refuses those in code that was kept, so that they become calls of require in it.
 */
async function bundle(
  input,
  { define = {}, banner = '', footer = '', places = {}, format = 'cjs', imports = false },
) {
  const build = await rolldown({
    input: path.join(root, input),
    platform: 'node',
    transform: { define },
    plugins: [
      {
        name: 'prepared',
        load: (file) =>
          file === path.join(root, 'dist/src/base/prepared.js') ? preparedModule(places) : null,
      },
      {
        name: 'build id',
        load: (file) =>
          file === path.join(root, 'dist/src/library/build_id.js')
            ? `export const buildId = ${JSON.stringify(unknownId)};`
            : null,
      },
    ],
    onLog: (level, { message }) => {
      if (level === 'warn') throw new Error(message);
    },
  });
  const { output } = await build.generate({
    format,
    codeSplitting: false,
    dynamicImportInCjs: imports,
    postBanner: banner,
    postFooter: footer,
  });
  await build.close();
  if (output.length !== 1) throw new Error(`${input} was bundled into ${output.length} files`);
  return output[0].code;
}

/**
 * The same code in ASCII: other characters stand in strings, templates, regular expressions and comments only, which have escapes. So
 * the launcher need not decode it, and V8 keeps it as single bytes.
 */
function inAscii(code) {
  if (/\braw`[^`]*[^\0-\x7f`]/.test(code)) throw new Error('a raw template has characters beyond ASCII');
  return code.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Writes a file so that nobody sees half of it. */
function write(file, contents) {
  const partial = `${file}.${process.pid}.partial`;
  writeFileSync(partial, contents);
  renameSync(partial, file);
}

const outputs = [program, launcher, crashWorker, poolWorker, buildIdFile];
if (outputs.every(existsSync) && Math.min(...outputs.map(modified)) > newestInput()) process.exit();

mkdirSync(path.dirname(poolWorker), { recursive: true });
rmSync(launcher, { force: true });
const { places, bytes } = preparedBytes(await preparedValues());
write(preparedFile, bytes);
const bundled = inAscii(
  await bundle('dist/src/cli/main.js', {
    places,
    banner: '(function (require, __filename, __dirname) {',
    footer: '})',
  }),
);
const sha256 = (text) => createHash('sha256').update(text).digest('hex');
const buildId = sha256(bundled).slice(0, 12);
write(buildIdFile, `${buildId}\n`);
const code = bundled.replaceAll(unknownId, buildId);
write(program, code);
const programHash = sha256(code);
write(crashWorker, await bundle('dist/src/library/crash_worker.js', { places }));
write(
  poolWorker,
  await bundle('node_modules/tinypool/dist/entry/worker.js', { format: 'es', imports: true }),
);
write(
  launcher,
  await bundle('dist/src/cli/launcher.js', {
    define: { programHash: JSON.stringify(programHash) },
    imports: true,
  }),
);
chmodSync(launcher, 0o755);
