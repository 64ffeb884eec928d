// Runs the compiled tests with Node's own runner, the same way on every supported Node, and ends with
// one line that counts them. Usage: node scripts/test.js [part of a path ...]
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

const wanted = process.argv.slice(2);
const files = readdirSync('dist', { recursive: true })
  .map((name) => `dist/${name}`)
  .filter((name) => name.endsWith('.test.js'))
  .filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)))
  .sort();

if (files.length === 0) {
  console.error('no test matches; run `npm run types` first, or name a part of a path under dist/');
  process.exit(2);
}

const counts = { passed: 0, failed: 0, skipped: 0 };
const skipped = [];
const isSuite = (event) => event.details?.type === 'suite';
// With process isolation Node reports each file as a test of its own around the real ones.
const isFile = (event) => files.some((file) => event.name.endsWith(file));

const stream = run({ files, concurrency: availableParallelism() });
stream.on('test:pass', (event) => {
  if (isSuite(event) || isFile(event)) return;
  if (event.skip !== undefined || event.todo !== undefined) {
    counts.skipped += 1;
    skipped.push(`${event.name}${typeof event.skip === 'string' ? `: ${event.skip}` : ''}`);
  } else counts.passed += 1;
});
stream.on('test:fail', (event) => {
  if (!isSuite(event)) counts.failed += 1;
});
stream.compose(spec).pipe(process.stdout);
stream.on('end', () => {
  process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;
  setImmediate(() => {
    for (const line of skipped) console.log(`skipped: ${line}`);
    const rest = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
    console.log(`${counts.passed} passed, ${counts.failed} failed${rest}`);
  });
});
