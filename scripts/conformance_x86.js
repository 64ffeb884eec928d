// Runs random x86-64 instructions from random states on this engine and on the host's own CPU, and prints how they compare, in 64-bit
// and in 32-bit code. Where the host is no x86-64 Linux or has no gcc, and for 32-bit code where its Linux offers no segment for it,
// the instructions' definitions stand for its CPU. Exits with status 1 if anything differs.
//
// Usage: npm run build && node scripts/conformance_x86.js [--words 200000] [--seed 1] [--only PATTERN]
import { parseArgs } from 'node:util';
import { compareEngine } from '../dist/test/conformance/x86_comparison.js';

const { values } = parseArgs({
  options: {
    words: { type: 'string', default: '200000' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
  },
});
const [words, seed] = [values.words, values.seed].map(Number);
if (![words, seed].every(Number.isSafeInteger)) {
  console.error('--words and --seed are whole numbers');
  process.exit(2);
}

/** Words of each round. */
const atOnce = 20_000;
/** Of four words one is of 32-bit code. */
const plans = [
  { mode: 64, count: Math.ceil((words * 3) / 4) },
  { mode: 32, count: Math.floor(words / 4) },
];

const differing = [];
for (const { mode, count } of plans) {
  const forms = new Set();
  let [cases, round, reference] = [0, 0, ''];
  for (let left = count; left > 0; left -= atOnce) {
    const only = new RegExp(values.only);
    const found = compareEngine({ mode, count: Math.min(left, atOnce), seed: seed + 1000 * round, only });
    round += 1;
    cases += found.cases;
    for (const form of found.forms) forms.add(form);
    differing.push(...found.differ);
    ({ reference } = found);
  }
  console.log(
    `${mode}-bit code, seed ${seed}: ${count} drawn, ${cases} run beside ${reference}, ${forms.size} forms`,
  );
}
console.log(`${differing.length} differ`);
if (differing.length > 0) console.log(differing.slice(0, 200).join('\n'));
process.exitCode = differing.length === 0 ? 0 : 1;
