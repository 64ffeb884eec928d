// Measures how long the matrix takes: all its runs in sequence, in processor time, which excludes other load on the
// machine. For comparison, each round also makes as many bare hypercalls as the matrix, on one domain without a guest.
// The part of the ratio above 1 is the cost of models, trace and audit.
//
// Usage: npm run bench [ROUNDS] (default: 5; one more round comes first and is not counted)
import { __HYPERVISOR_xen_version, xen_feature_info, XENVER_get_features } from 'domulator/abi';
import { createWorld, matrixScenarios, runMatrix, runScenario } from 'domulator/explore';
import { hypercall } from 'domulator/hypervisor';

const claimSeconds = 10;
const rounds = Number(process.argv[2] ?? 5);
if (!Number.isInteger(rounds) || rounds < 1) {
  console.error('usage: npm run bench [ROUNDS], with ROUNDS a whole number from 1 on');
  process.exit(2);
}

/** Processor time of `work` in seconds. */
function secondsOf(work) {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const cells = matrixScenarios().filter(({ scenario }) => scenario !== null);

/** The number of hypercalls that the guests of all cells make. */
function countCalls() {
  const calls = ({ scenario }) =>
    runScenario(scenario).events.filter(({ kind }) => kind === 'hypercall').length;
  return cells.reduce((sum, cell) => sum + calls(cell), 0);
}

/** `count` times XENVER_get_features: one struct in, one struct out, almost no work between. */
function bareCalls(count) {
  const { domain } = createWorld(cells[0].scenario);
  const [{ start }] = domain.state.config.ram;
  const address = BigInt(start + 1) << 12n;
  const port = { translate: (_vcpu, virtual) => virtual };
  const frame = domain.memory.writable(start + 1);
  frame.set(xen_feature_info.encode({ submap_idx: 0 }));
  const args = [BigInt(XENVER_get_features), address];
  for (let i = 0; i < count; i += 1) {
    const { returned } = hypercall(domain, 0, __HYPERVISOR_xen_version, args, port);
    if (returned !== 0) throw new Error(`the bare hypercall was answered ${returned}`);
  }
}

const calls = countCalls(); // The round that is not counted.
const measured = Array.from({ length: rounds }, () => {
  const matrix = secondsOf(() => runMatrix(cells));
  const bare = secondsOf(() => bareCalls(calls));
  return { matrix, bare, ratio: matrix / bare };
});

const matrix = median(measured.map((round) => round.matrix));
const slowest = Math.max(...measured.map((round) => round.matrix));
const bare = median(measured.map((round) => round.bare));
const ratio = median(measured.map((round) => round.ratio));
const milliseconds = (seconds, of) => `${((1000 * seconds) / of).toFixed(2)} ms`;
const microseconds = (seconds, of) => `${((1e6 * seconds) / of).toFixed(1)} µs`;

console.log(`Node ${process.versions.node} on ${process.arch}; processor time, median of ${rounds}`);
console.log(
  `matrix: ${matrix.toFixed(2)} s (slowest ${slowest.toFixed(2)} s) for ${cells.length} runs with ${calls} hypercalls`,
);
console.log(
  `        ${milliseconds(matrix, cells.length)} a run, ${microseconds(matrix, calls)} a hypercall`,
);
console.log(`peer:   ${bare.toFixed(2)} s for ${calls} bare hypercalls, ${microseconds(bare, calls)} each`);
console.log(`ratio:  ${ratio.toFixed(1)}`);
console.log(
  `claim:  the matrix takes under ${claimSeconds} s: ${slowest < claimSeconds ? 'holds' : 'does NOT hold'}`,
);
