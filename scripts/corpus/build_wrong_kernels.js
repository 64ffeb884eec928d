// Builds the kernels of an architecture's wrong_kernels.json, one after the other in the same tree, so that each costs little more than a
// link. They go into the cache folder. A kernel is not rebuilt if its source, configuration and edits are
// unchanged.
//
// Usage: npm run build && sh scripts/corpus/build_wrong_kernels.sh [--arch arm64|amd64] [--jobs N] [NAME...]
// (the shell script installs the required tools and then runs this script)
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { architectureOf, dataOf } from './architectures.js';
import { imageOf, ownText, wrongFolder } from './places.js';
import { edited, editsOf } from './wrong_kernels.js';

const { values, positionals } = parseArgs({
  options: {
    arch: { type: 'string' },
    jobs: { type: 'string', default: String(availableParallelism()) },
  },
  allowPositionals: true,
});

const architecture = architectureOf(values.arch);
const { kernel: kind } = architecture;
const wrongKernels = dataOf(architecture, 'wrong_kernels.json');
const folder = wrongFolder(architecture);
const archive = `/usr/src/${wrongKernels.source}.tar.xz`;
const sourceFolder = path.join(folder, wrongKernels.source);
const buildFolder = path.join(folder, 'build');
const pristineFolder = path.join(folder, 'pristine');
const config = ownText(`${architecture.name}/wrong.config`);

function fail(line) {
  console.error(line);
  process.exit(2);
}

const hash = (...parts) => {
  const sum = createHash('sha256');
  for (const part of parts) sum.update(part).update('\0');
  return sum.digest('hex');
};

const textOf = (file) => (existsSync(file) ? readFileSync(file, 'utf8') : null);

/** Runs a program. Shows its output only if it fails. */
function run(program, args, options = {}) {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    ...options,
  });
  if (status === 0) return;
  fail(
    `${stdout ?? ''}${stderr ?? ''}${program} ${args.join(' ')} failed: ${error?.message ?? `status ${status}`}`,
  );
}

const seconds = (since) => ((performance.now() - since) / 1000).toFixed(0);

/** Does `work` unless its result already exists for the same key. Records the key afterwards. */
function onceFor(keyFile, key, what, work) {
  if (textOf(keyFile) === key) return false;
  const since = performance.now();
  rmSync(keyFile, { force: true });
  work();
  writeFileSync(keyFile, key);
  console.log(`${what}: ${seconds(since)} s`);
  return true;
}

// A kernel must not depend on the build machine: its name, the user, or the time.
const buildEnvironment = {
  ...process.env,
  KBUILD_BUILD_USER: 'corpus',
  KBUILD_BUILD_HOST: 'domulator',
  KBUILD_BUILD_TIMESTAMP: 'Thu Jan  1 00:00:00 UTC 2026',
};

function make(...targets) {
  const cross = process.arch === kind.hostArch ? [] : [`CROSS_COMPILE=${kind.crossCompile}`];
  const args = ['-s', `-j${values.jobs}`, `O=${buildFolder}`, `ARCH=${kind.makeArch}`, ...cross, ...targets];
  run('make', ['-C', sourceFolder, ...args], { env: buildEnvironment });
}

function extract() {
  rmSync(sourceFolder, { recursive: true, force: true });
  rmSync(buildFolder, { recursive: true, force: true });
  rmSync(pristineFolder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  run('tar', ['xJf', archive, '-C', folder]);
}

function configure() {
  mkdirSync(buildFolder, { recursive: true });
  const fragment = path.join(buildFolder, 'wrong.config');
  writeFileSync(fragment, config);
  make(`KCONFIG_ALLCONFIG=${fragment}`, 'allnoconfig');
  const made = readFileSync(path.join(buildFolder, '.config'), 'utf8').split('\n');
  const lost = config.split('\n').filter((line) => line.startsWith('CONFIG_') && !made.includes(line));
  if (lost.length > 0) fail(`the kernel's configuration does not take: ${lost.join(' ')}`);
}

/** The unmodified file of the package. A copy is saved before the first edit. */
function pristine(file) {
  const kept = path.join(pristineFolder, file);
  if (!existsSync(kept)) {
    mkdirSync(path.dirname(kept), { recursive: true });
    copyFileSync(path.join(sourceFolder, file), kept);
  }
  return readFileSync(kept, 'utf8');
}

const allFiles = [...new Set(wrongKernels.kernels.flatMap(({ edits }) => edits.map(({ file }) => file)))];

/** Changes the source to that of a kernel. Unchanged files are not touched, and so not recompiled. */
function editSource(edits) {
  for (const file of allFiles) {
    const ofFile = edits.filter((edit) => edit.file === file);
    const text = ofFile.reduce(edited, pristine(file));
    const place = path.join(sourceFolder, file);
    if (readFileSync(place, 'utf8') !== text) writeFileSync(place, text);
  }
}

function build({ name }) {
  editSource(editsOf(name, wrongKernels));
  make(kind.target);
  const image = imageOf(architecture, name);
  mkdirSync(path.dirname(image), { recursive: true });
  copyFileSync(path.join(buildFolder, kind.file), `${image}.new`);
  renameSync(`${image}.new`, image);
}

const names = wrongKernels.kernels.map(({ name }) => name);
const unknown = positionals.filter((name) => !names.includes(name));
if (unknown.length > 0) fail(`no such kernel: ${unknown.join(', ')}; there are ${names.join(', ')}`);
if (!/^[1-9]\d*$/.test(values.jobs)) fail(`--jobs takes a number of 1 or more, not '${values.jobs}'`);
if (!existsSync(archive)) fail(`${archive} is missing; install ${wrongKernels.source}`);

const since = performance.now();
const sourceKey = hash(readFileSync(archive));
onceFor(path.join(folder, 'source.key'), sourceKey, 'the source, unpacked', extract);
const configKey = hash(sourceKey, config);
onceFor(path.join(folder, 'config.key'), configKey, 'its configuration', configure);
const wanted = wrongKernels.kernels.filter(
  ({ name }) => positionals.length === 0 || positionals.includes(name),
);
let built = 0;
for (const kernel of wanted) {
  const key = hash(configKey, JSON.stringify(editsOf(kernel.name, wrongKernels)));
  const image = imageOf(architecture, kernel.name);
  if (!existsSync(image)) rmSync(`${image}.key`, { force: true });
  mkdirSync(path.dirname(image), { recursive: true });
  if (onceFor(`${image}.key`, key, kernel.name, () => build(kernel))) built += 1;
}
console.log(`${built} built, ${wanted.length - built} already there, ${seconds(since)} s`);
