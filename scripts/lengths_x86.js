// Compares where random byte strings are x86-64 instructions, and how long these are, with iced-x86. Exits with status 1 if anything
// differs but what test/conformance/x86_lengths.ts lists.
//
// Usage: npm run build && node scripts/lengths_x86.js [--strings 10000000] [--seed 1]
import { parseArgs } from 'node:util';
import { compareLengths } from '../dist/test/conformance/x86_lengths.js';

const { values } = parseArgs({
  options: { strings: { type: 'string', default: '10000000' }, seed: { type: 'string', default: '1' } },
});
const [strings, seed] = [values.strings, values.seed].map(Number);
if (![strings, seed].every(Number.isSafeInteger)) {
  console.error('--strings and --seed are whole numbers');
  process.exit(2);
}

const atOnce = 100_000;
let [instructions, differing] = [0, 0];
for (let begun = 0; begun < strings; begun += atOnce) {
  const found = compareLengths(Math.min(atOnce, strings - begun), seed + begun / atOnce);
  instructions += found.instructions;
  differing += found.differ.length;
  for (const line of found.differ) console.log(line);
}
console.log(
  `${strings} byte strings, of which iced-x86 takes ${instructions} for instructions: ${differing} differ`,
);
process.exit(differing === 0 ? 0 : 1);
