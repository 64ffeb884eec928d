/** One run of a guest that waits for its crash: a copy of it crashes on one vCPU, and goes on in its crash kernel to the end. */
import type { TraceEvent } from '../audit/index.js';
import { present } from '../base/index.js';
import { Boot, mainConsoleOf, reportedRun } from '../boot/index.js';
import type {
  BootOptions,
  BootProgress,
  BootResult,
  BootWatcher,
  ReportedRun,
  SavedBoot,
} from '../boot/index.js';
import { crashMarkers } from '../firmware/index.js';
import type { CrashWay } from '../firmware/index.js';
import { runSlice } from './slices.js';

/** What a run tells whoever started it, and asks them. */
export interface RunHost {
  /** Called with the output of the guest's console. */
  readonly console?: (bytes: Uint8Array) => void;
  /** Called with each event that the audit will read, as it comes. */
  readonly event?: (event: TraceEvent) => void;
  /** Called now and then with how far the guest is. */
  readonly progress?: (instructions: number, guestTimeNs: bigint) => void;
  /** Looked at between slices of the run: one line that says why to stop; null to go on. */
  readonly stopped?: () => string | null;
}

/** A guest whose crash kernel is loaded. */
export interface WaitingGuest {
  readonly options: Omit<BootOptions, 'initrd'>;
  readonly saved: SavedBoot;
}

/** Where and how a guest crashes. */
export interface Crash {
  /** The vCPU, by its index. */
  readonly vcpu: number;
  readonly by: CrashWay;
}

/** How many instructions a guest runs at once while a vCPU is awaited in kernel code, and how often it is awaited. */
const oopsSlice = { instructions: 5_000, most: 10_000 } as const;

/** Steps the guest until something happens; tells the host how far it is. */
async function advance(boot: Boot, host: RunHost): Promise<BootProgress> {
  const why = host.stopped?.() ?? null;
  if (why !== null) boot.cutShort(why);
  const state = runSlice(boot);
  host.progress?.(boot.machine.instructions, boot.machine.nowNs);
  // Lets the host process output and signals.
  await new Promise((resolve) => setImmediate(resolve));
  return state;
}

/** Runs the guest to a line of its console, which is returned; null if it ends before. */
export async function reach(boot: Boot, pattern: RegExp, host: RunHost): Promise<string | null> {
  boot.pauseAt({ kind: 'line', pattern });
  for (;;) {
    const state = await advance(boot, host);
    if (state === 'paused') return boot.pausedLine;
    if (state === 'ended') return null;
  }
}

export function watcherOf({ console: show, event }: RunHost, commandLine: string): BootWatcher {
  return {
    ...(event === undefined ? {} : { event }),
    ...(show === undefined
      ? {}
      : {
          console: (bytes, from) => {
            if (from === mainConsoleOf(commandLine)) show(bytes);
          },
        }),
  };
}

/** Lets the kernel on `vcpu` fault as soon as it runs there. */
async function fault(boot: Boot, vcpu: Boot['machine']['vcpus'][number]): Promise<void> {
  for (let tries = 0; tries < oopsSlice.most; tries += 1) {
    if (boot.makeOops(vcpu)) return;
    if (boot.step(oopsSlice.instructions) === 'ended') return;
    if (tries % 64 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  boot.cutShort(`the kernel was never seen to run on vCPU ${vcpu}`);
}

/** Lets a copy of the guest crash, and follows it to its end. */
export async function crashOn(
  { options, saved }: WaitingGuest,
  { vcpu: index, by }: Crash,
  host: RunHost,
): Promise<ReportedRun> {
  const boot = Boot.restore(options, saved, watcherOf(host, options.commandLine));
  const vcpu = present(boot.machine.vcpus[index], 'a vCPU');
  const cpu = present(
    boot.guest.cpus.find((known) => known.vcpu === vcpu),
    'a CPU',
  ).linuxCpu;
  boot.type(new TextEncoder().encode(`${by} ${(1n << BigInt(cpu)).toString(16)}\n`));
  if (by === 'oops' && (await reach(boot, new RegExp(`^${crashMarkers.busy}`), host)) !== null)
    await fault(boot, vcpu);
  if (by === 'nmi' && (await reach(boot, new RegExp(`^${crashMarkers.nmi}`), host)) !== null)
    present(boot.guest.triggerNmi, 'NMIs of the toolstack')(vcpu);
  while ((await advance(boot, host)) !== 'ended');
  const result = boot.result();
  const [, next] = result.kernels;
  const action = { kind: 'crash', vcpu: next?.entryVcpu ?? vcpu, by } as const;
  return reportedRun({ action, result: next === undefined ? withoutCrash(result) : result });
}

/** A guest that reaches its goal without a crash has not done what it was to do. */
function withoutCrash(result: BootResult): BootResult {
  if (!result.reached) return result;
  return { ...result, reached: false, ending: `${result.ending}; it did not leave its kernel` };
}
