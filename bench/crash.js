// Measures what `domulator crash --crash-on all` costs beside its first boot and what its crash kernels execute: processor time of this
// process, with its other threads. What a run takes within `Machine.run` is its instructions' own time; restoring, what is read of the
// kernels, and the report are not.
//
// Usage: npm run bench:crash [-- --from FILE | KERNEL] (default: debian:bookworm; FILE: of `domulator crash --checkpoint`)
import { crash } from '../dist/src/library/index.js';
import { Machine } from '../dist/src/machine/index.js';
import { describeMachine, holds, printTable } from './support/measure.js';

/** All processor time, as a multiple of that of the first boot and of the instructions of the runs after it. */
const claim = 1.1;

const [first, second] = process.argv.slice(2);
const request = first === '--from' ? { from: second } : { kernel: first ?? 'debian:bookworm' };

/** Processor time so far, s. */
function processorTime() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** By machine, in the order in which they ran: processor time within `run`, and when that last ended, s. */
const machines = new Map();
const { run } = Machine.prototype;
Machine.prototype.run = function (...limits) {
  const began = processorTime();
  const reason = run.apply(this, limits);
  const ended = processorTime();
  machines.set(this, { own: (machines.get(this)?.own ?? 0) + ended - began, ended });
  return reason;
};

console.log(describeMachine());
const ends = [];
const report = await crash({
  ...request,
  // Threads have modules of their own, which are not measured.
  jobs: 1,
  vcpus: request.from === undefined ? 4 : undefined,
  warn: (line) => console.error(line),
  ended: () => ends.push(processorTime()),
});
const all = processorTime();

const measured = [...machines.values()];
const boot = request.from === undefined ? measured.shift() : undefined;
const booted = boot?.ended ?? 0;
const rows = report.runs.map(({ action, outcome: { what }, instructions }, index) => [
  `crash on vCPU ${action.vcpu}: ${what}`,
  (instructions / 1e6).toFixed(0),
  measured[index].own.toFixed(2),
  (ends[index] - (ends[index - 1] ?? booted)).toFixed(2),
]);
printTable([
  ['', 'million instructions, from the start', 'their own s', 'all s'],
  ['first boot', '', boot?.own.toFixed(2) ?? '', booted.toFixed(2)],
  ...rows,
]);
const own = measured.reduce((sum, one) => sum + one.own, 0);
const ratio = all / (booted + own);
console.log(
  `first boot ${booted.toFixed(2)} s and the runs' own ${own.toFixed(2)} s; all ${all.toFixed(2)} s, ${ratio.toFixed(3)} times that: at most ${claim} ${holds(ratio <= claim)}`,
);
console.log(describeMachine());
