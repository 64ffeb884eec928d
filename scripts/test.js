// Runs the compiled tests with Node's own runner and ends with one line that counts them, the same on every supported
// Node release: `N passed, N failed`. Exits with status 0 only if tests ran and none failed.
//
// Usage: node scripts/test.js [part of a path ...]
// With DOMULATOR_NO_SKIPS=1 a skipped test counts as failed. Use this on machines that have every tool a test needs.
import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { pathToFileURL } from 'node:url';

const wanted = process.argv.slice(2);
const noSkips = process.env.DOMULATOR_NO_SKIPS === '1';
const fileTimeoutMs = 900_000;

// A test that was moved or deleted leaves its compiled file in dist/. Only its source shows that it still exists.
const files = readdirSync('dist', { recursive: true })
  .filter((name) => name.endsWith('.test.js') && existsSync(name.replace(/js$/, 'ts')))
  .map((name) => `dist/${name}`)
  .filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)))
  .sort();

if (files.length === 0) {
  console.error('no test matches; run `npm run types` first, or name a part of a path under dist/');
  process.exit(2);
}

const counts = { passed: 0, failed: 0, skipped: 0 };
const notes = [];
/** Files for which a test was reported, or a failure of the file itself. */
const filesWithTests = new Set();
const nameOfFile = (event) => files.find((file) => event.file?.endsWith(file)) ?? event.file;
// Node also reports a file as a test: if it contains no test, if it fails outside its tests, and in some releases
// always. Its name is then like `dist/x.test.js`, which no real test has.
const isFile = (event) => event.nesting === 0 && files.some((file) => event.name.endsWith(file));
const isSuite = (event) => event.details?.type === 'suite';
// A suite fails with its tests, which are counted; or by itself: in a hook, or before its first test.
const failsByItself = (event, verdict) =>
  verdict === 'failed' && event.details?.error?.failureType !== 'subtestsFailed';

function skipped(event) {
  const reason = typeof event.skip === 'string' && event.skip !== '' ? `: ${event.skip}` : '';
  notes.push(`skipped: ${event.name}${reason}`);
  counts[noSkips ? 'failed' : 'skipped'] += 1;
}

function ended(event, verdict) {
  if (verdict === 'failed' || !isFile(event)) filesWithTests.add(nameOfFile(event));
  if (isFile(event)) {
    if (verdict === 'failed') counts.failed += 1;
  } else if (event.skip !== undefined || event.todo !== undefined) skipped(event);
  else if (!isSuite(event) || failsByItself(event, verdict)) counts[verdict] += 1;
}

// Loaded into every test process. A test that calls process.exit would end its file early, and nobody would notice the
// tests that did not run. The guard removes itself from the environment, so programs that tests start do not load it.
const guard = pathToFileURL('scripts/test_guard.js').href;
process.env.DOMULATOR_NODE_OPTIONS = process.env.NODE_OPTIONS ?? '';
process.env.NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ''} --import=${guard}`.trim();

const stream = run({ files, concurrency: availableParallelism(), timeout: fileTimeoutMs });
stream.on('test:pass', (event) => ended(event, 'passed'));
stream.on('test:fail', (event) => ended(event, 'failed'));
stream.compose(spec).pipe(process.stdout);
stream.on('end', () => {
  for (const file of files.filter((name) => !filesWithTests.has(name))) {
    notes.push(`no test ran in ${file}`);
    counts.failed += 1;
  }
  process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;
  setImmediate(() => {
    for (const line of notes) console.log(line);
    if (counts.skipped > 0) console.log(`${counts.skipped} skipped`);
    console.log(`${counts.passed} passed, ${counts.failed} failed`);
  });
});
