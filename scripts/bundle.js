// Bundles the compiled command into dist/command/: `domulator.cjs`, which package.json names as the command, and `program.cjs`,
// which it runs. docs/decisions/0021-a-bundled-command.md says why. Does nothing if both are newer than all that they are made of.
//
// Usage: node scripts/bundle.js
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
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = path.join(root, 'dist/command');
const launcher = path.join(folder, 'domulator.cjs');
const program = path.join(folder, 'program.cjs');

const modified = (file) => statSync(file).mtimeMs;

/** The time of the newest file that the bundle is made of, ms. */
function newestInput() {
  const modules = readdirSync(path.join(root, 'dist/src'), { recursive: true })
    .filter((name) => name.endsWith('.js') && !name.endsWith('.test.js'))
    .map((name) => path.join(root, 'dist/src', name));
  const others = ['package-lock.json', 'scripts/bundle.js'].map((name) => path.join(root, name));
  return Math.max(...[...modules, ...others].map(modified));
}

/** The code of a compiled module with all that it imports, as one script. */
async function bundle(input, { define = {}, banner = '', footer = '' }) {
  const build = await rolldown({
    input: path.join(root, 'dist/src/cli', input),
    platform: 'node',
    transform: { define },
    onLog: (level, { message }) => {
      if (level === 'warn') throw new Error(message);
    },
  });
  const { output } = await build.generate({
    format: 'cjs',
    codeSplitting: false,
    postBanner: banner,
    postFooter: footer,
  });
  await build.close();
  if (output.length !== 1) throw new Error(`${input} was bundled into ${output.length} files`);
  return output[0].code;
}

/** Writes a file so that nobody sees half of it. */
function write(file, text) {
  const partial = `${file}.${process.pid}.partial`;
  writeFileSync(partial, text);
  renameSync(partial, file);
}

if (
  existsSync(program) &&
  existsSync(launcher) &&
  Math.min(modified(program), modified(launcher)) > newestInput()
)
  process.exit();

mkdirSync(folder, { recursive: true });
rmSync(launcher, { force: true });
const code = await bundle('main.js', {
  banner: '(function (require, __filename, __dirname) {',
  footer: '})',
});
write(program, code);
const programHash = createHash('sha256').update(code).digest('hex');
write(launcher, await bundle('launcher.js', { define: { programHash: JSON.stringify(programHash) } }));
chmodSync(launcher, 0o755);
