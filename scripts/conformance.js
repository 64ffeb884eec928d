// Runs random A64 words on this engine and on qemu's Cortex-A57 and prints how they compare, for words drawn uniformly
// from all 2^32 and for each of the manual's encoding groups. Exits with status 1 if anything differs that is not a
// known bug of the reference.
//
// Usage: npm run build && node scripts/conformance.js [--words 1000000] [--per-group 300000] [--seed 1]
import { parseArgs } from 'node:util';
import { compareWords, shown } from '../dist/test/conformance/a64_comparison.js';
import { encodingGroups, groupDraw } from '../dist/test/conformance/a64_groups.js';
import { missingReference } from '../dist/test/conformance/a64_reference.js';

const { values } = parseArgs({
  options: {
    words: { type: 'string', default: '1000000' },
    'per-group': { type: 'string', default: '300000' },
    seed: { type: 'string', default: '1' },
  },
});
const [words, perGroup, seed] = [values.words, values['per-group'], values.seed].map(Number);
const missing = missingReference();
if (missing !== null || ![words, perGroup, seed].every(Number.isSafeInteger)) {
  console.error(missing ?? '--words, --per-group and --seed are whole numbers');
  process.exit(2);
}

const plans = [
  { name: 'all words, uniformly', count: words, draw: (dice) => dice.word() },
  ...encodingGroups.map((group) => ({
    name: group.name,
    count: perGroup,
    draw: groupDraw(group, shown, 'EL0t'),
  })),
].filter(({ count }) => count > 0);

const columns = ['drawn', 'not run', 'allocated', 'unallocated', 'equal', 'ref. faults', 'differ'];
const line = (name, cells) =>
  console.log(name.padEnd(30) + cells.map((cell) => `${cell}`.padStart(12)).join(''));
const status = (text) => process.stderr.isTTY && process.stderr.write(`\r\x1b[K${text}`);

const faults = new Map();
const differing = [];
line(`seed ${seed}`, columns);
for (const { name, count, draw } of plans) {
  const result = compareWords(count, seed, draw, {
    progress: (done) => status(`${name}: ${done} of ${count}`),
  });
  status('');
  const known = [...result.known.values()].reduce((sum, one) => sum + one, 0);
  const { drawn, elsewhere, allocated, unallocated, equal, found } = result;
  line(name, [drawn, elsewhere, allocated, unallocated, equal, known, found.length]);
  for (const [fault, times] of result.known) faults.set(fault, (faults.get(fault) ?? 0) + times);
  differing.push(...found);
}
for (const [fault, times] of faults) console.log(`fault of the reference, ${times} times: ${fault}`);
console.log(differing.length === 0 ? 'nothing else differs' : differing.slice(0, 200).join('\n'));
process.exitCode = differing.length === 0 ? 0 : 1;
