#!/usr/bin/env node
/**
 * What `npx domulator` runs, after `scripts/bundle.js` has made one file of it: runs the bundle of the command (`program.cjs`
 * beside it), with the compiled code that an earlier run kept. With DOMULATOR_DEBUG=1 the command runs from its modules, whose
 * names and lines stack traces then show.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import v8 from 'node:v8';
import vm from 'node:vm';
import { cachePlace } from '../user_cache/index.js';
import { keepCode, keptCode } from './code_cache.js';

/** SHA-256 of program.cjs. Bundling puts it here. */
declare const programHash: string;

/** The bundle, as a function with the parameters of Node's CommonJS modules. */
type Program = (require: NodeJS.Require, filename: string, dirname: string) => void;

const folder = import.meta.dirname;

/** Where the code is kept, and under which key; null if it is not kept. */
function codePlace(): { readonly file: string; readonly key: string } | null {
  const { folder: cache } = cachePlace(process.env);
  if (cache === null) return null;
  const { version, arch, platform, versions } = process;
  return {
    // Of this program alone: two of them, each with a file of its own, do not overwrite each other's code.
    file: path.join(cache, 'code', `${version}-${platform}-${arch}-${programHash.slice(0, 16)}`),
    key: [programHash, version, platform, arch, versions.v8].join('\n'),
  };
}

/** Commands that run most of the program. The code that other commands used would be too little to be worth keeping. */
const longCommands: readonly string[] = ['boot', 'crash'];
/** Statuses of runs that ended before they did anything: bad input, internal error. */
const earlyStatuses: readonly unknown[] = [2, 70];

function isWorthKeeping(): boolean {
  const [command = '', ...args] = process.argv.slice(2);
  const isHelp = args.includes('--help') || args.includes('-h');
  return longCommands.includes(command) && !isHelp && !earlyStatuses.includes(process.exitCode);
}

function run(): void {
  const filename = path.join(folder, 'program.cjs');
  // It is ASCII (scripts/bundle.js).
  const source = readFileSync(filename, 'latin1');
  const place = codePlace();
  const user = process.getuid?.() ?? null;
  const cachedData = place === null ? undefined : keptCode(place.file, place.key, user);
  const script = new vm.Script(source, {
    filename,
    ...(cachedData === undefined ? {} : { cachedData }),
  });
  if (place !== null && (cachedData === undefined || script.cachedDataRejected === true)) {
    // V8 drops code that was not used for a while, and start-up's is the one to keep.
    v8.setFlagsFromString('--no-flush-bytecode');
    process.once('exit', () => {
      // The code is for runs without that flag: V8 refuses code of other flags.
      v8.setFlagsFromString('--flush-bytecode');
      if (isWorthKeeping()) keepCode(place.file, place.key, script.createCachedData());
    });
  }
  const program = script.runInThisContext() as Program;
  program(createRequire(pathToFileURL(filename)), filename, folder);
}

if (process.env['DOMULATOR_DEBUG'] === '1') {
  void import(pathToFileURL(path.join(folder, '..', 'src', 'cli', 'main.js')).href);
} else {
  run();
}
