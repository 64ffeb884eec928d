/** Runs boots that are cut: saved, written as a file would hold them, and restored into new boots that go on. */
import { valueFromJson, valueToJson } from '../../src/base/index.js';
import { Boot, bootReport } from '../../src/boot/index.js';
import type { BootOptions, BootReport, BootWatcher, SavedBoot, Verdict } from '../../src/boot/index.js';
import { hashSaved } from '../../src/machine/index.js';

/** Everything that a run shows. */
export interface ShownRun {
  /** Of both consoles, with the name of each. */
  readonly console: string;
  /** Every event, as it came. */
  readonly trace: string;
  readonly traceSha256: string;
  readonly instructions: number;
  readonly verdict: Verdict;
  /** Without what depends on the host. */
  readonly report: BootReport;
  /** SHA-256 of the machine at the end. */
  readonly machine: string;
}

const stepInstructions = 5_000_000;

function written({ machine, boot }: SavedBoot): SavedBoot {
  const read = valueFromJson(valueToJson({ state: machine.state, boot })) as {
    readonly state: SavedBoot['machine']['state'];
    readonly boot: SavedBoot['boot'];
  };
  return { machine: { state: read.state, frames: machine.frames }, boot: read.boot };
}

/**
 * Runs a guest to its end. At each of `cuts`, counted in instructions, another boot takes over, from the first one on with
 * `changes` to the options.
 */
export function cutBoot(
  asked: BootOptions,
  cuts: readonly number[],
  changes: Partial<BootOptions> = {},
): ShownRun {
  const console: string[] = [];
  const trace: string[] = [];
  const watcher: BootWatcher = {
    console: (bytes, from) => void console.push(from, ...Array.from(bytes, (byte) => String(byte))),
    event: (event) => void trace.push(valueToJson(event)),
  };
  const options = cuts.length === 0 ? asked : { ...asked, ...changes };
  let boot = new Boot(asked, watcher);
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    while (boot.machine.instructions < cut && boot.step(cut - boot.machine.instructions) !== 'ended');
    boot = Boot.restore(options, written(boot.save()), watcher);
  }
  while (boot.step(stepInstructions) !== 'ended');
  const report = bootReport(options, boot.result(), { package: null, suites: [] }, { wallMs: 0, node: '' });
  const [run] = report.runs;
  return {
    console: console.join(' '),
    trace: trace.join('\n'),
    traceSha256: run.traceSha256,
    instructions: run.instructions,
    verdict: report.verdict,
    report: { ...report, host: null },
    machine: hashSaved(boot.machine.save()),
  };
}

export function wholeBoot(asked: BootOptions): ShownRun {
  return cutBoot(asked, []);
}
