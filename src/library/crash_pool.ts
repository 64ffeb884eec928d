/**
 * Runs of a guest that waits for its crash, side by side in threads. Whoever asked for them is told of them in their order, as if
 * they had run one after the other.
 */
import os from 'node:os';
import { MessageChannel } from 'node:worker_threads';
import type { Tinypool } from 'tinypool';
import type { TraceEvent } from '../audit/index.js';
import { InputError, present } from '../base/index.js';
import type { ReportedRun } from '../boot/index.js';
import type { Crash, WaitingGuest } from './crash_run.js';
import { eventsBytes, SharedBacklog, SharedStop, shareGuest } from './crash_shared.js';
import type { ThreadData, ThreadMessage, ThreadResult, ThreadTask } from './crash_shared.js';
import { InOrder } from './in_order.js';

/** The most that a thread may have in V8's heap, in MiB. A run of four vCPUs takes less than 200. */
const heapMiB = 1024;
/** What a thread has beside its guest's memory, in MiB: a part of that heap, decoded code, and Node itself. */
const otherMiB = 512;
/** How often to look whether to stop, ms. */
const lookMs = 50;

/** How many runs of a guest with `memoryMiB` fit side by side: as many as there are processors, and as memory allows; at least one. */
export function jobsThatFit(memoryMiB: number): number {
  const free = typeof process.availableMemory === 'function' ? process.availableMemory() : os.freemem();
  const byMemory = Math.floor(free / ((memoryMiB + otherMiB) * 2 ** 20));
  return Math.max(1, Math.min(os.availableParallelism(), byMemory));
}

/** What to tell of the runs, by number. */
export interface RunsHost {
  readonly console?: (bytes: Uint8Array, run: number) => void;
  readonly event?: (event: TraceEvent, run: number) => void;
  readonly progress?: (run: number, instructions: number, guestTimeNs: bigint) => void;
  readonly ended?: (report: ReportedRun, run: number) => void;
  readonly stopped?: () => string | null;
}

/** How many times as many runs as there are jobs may be ahead of the one that is told: what is to be told of them waits in memory. */
const aheadPerJob = 2;

/** The module that a thread runs, beside this one: a bundle of its own beside the bundled command. */
const workerFile = new URL(
  import.meta.url.endsWith('.cjs') ? './crash_worker.cjs' : './crash_worker.js',
  import.meta.url,
);

async function poolOf(jobs: number, data: ThreadData): Promise<Tinypool> {
  const { Tinypool: Pool } = await import('tinypool');
  return new Pool({
    filename: workerFile.href,
    name: 'runTask',
    minThreads: 0,
    maxThreads: jobs,
    concurrentTasksPerWorker: 1,
    workerData: data,
    resourceLimits: { maxOldGenerationSizeMb: heapMiB },
  });
}

/** The error of a thread that did not come to return one. */
function errorOfThread(error: unknown, vcpu: number): unknown {
  const { code = '' } = error as { readonly code?: string };
  if (code !== 'ERR_WORKER_OUT_OF_MEMORY') return error;
  return new InputError(
    `the run of the crash on vCPU ${vcpu} needs more than ${heapMiB} MiB of heap; let it run alone (jobs 1)`,
  );
}

function resultOf(result: ThreadResult<ReportedRun>): ReportedRun {
  if ('run' in result) return result.run;
  if (result.isInput) throw new InputError(result.message);
  const error = new Error(result.message);
  error.name = result.name;
  error.stack = result.stack;
  throw error;
}

/** How long what a thread told may still be on its way when the thread has failed, ms. */
const lastWordsMs = 1000;

/** The runs of one guest in a pool. */
class Runs {
  readonly #pool: Tinypool;
  readonly #host: RunsHost;
  readonly #stop: SharedStop;
  readonly order = new InOrder();
  /** What a function of the host threw first. All runs are to stop then. */
  thrown: { readonly error: unknown } | null = null;

  constructor(pool: Tinypool, host: RunsHost, stop: SharedStop) {
    this.#pool = pool;
    this.#host = host;
    this.#stop = stop;
  }

  async run(crash: Crash, number: number): Promise<ReportedRun> {
    const { port1, port2 } = new MessageChannel();
    const backlog = new SharedBacklog();
    const told = new Promise<void>((resolve) => {
      port1.on('message', (message: ThreadMessage) => {
        if (message === null) resolve();
        else this.#hear(message, number, backlog);
      });
      port1.on('close', resolve);
    });
    try {
      const run = resultOf(await this.#resultOf({ crash, port: port2, backlog: backlog.memory }, told));
      this.order.do(number, () => this.#tell(() => this.#host.ended?.(run, number)));
      return run;
    } catch (error) {
      throw errorOfThread(error, crash.vcpu);
    } finally {
      port1.close();
      this.order.end(number);
    }
  }

  /** How a run ended in its thread, when all is `told` that the thread told of it. */
  async #resultOf(task: ThreadTask, told: Promise<void>): Promise<ThreadResult<ReportedRun>> {
    try {
      const result = (await this.#pool.run(task, { transferList: [task.port] })) as ThreadResult<ReportedRun>;
      await told;
      return result;
    } catch (error) {
      // The port of a thread that has died closes, unless the thread never got it.
      await Promise.race([told, new Promise((resolve) => setTimeout(resolve, lastWordsMs))]);
      throw error;
    }
  }

  #hear(message: NonNullable<ThreadMessage>, number: number, backlog: SharedBacklog): void {
    if ('instructions' in message) {
      this.#tell(() => this.#host.progress?.(number, message.instructions, message.guestTimeNs));
      return;
    }
    this.order.do(number, () => {
      if ('console' in message) this.#tell(() => this.#host.console?.(message.console, number));
      else for (const event of message.events) this.#tell(() => this.#host.event?.(event, number));
      backlog.told('console' in message ? message.console.length : eventsBytes(message.events.length));
    });
  }

  /** Looks whether all runs are to stop. */
  look(): void {
    this.#tell(() => {
      const why = this.#host.stopped?.() ?? null;
      if (why !== null && this.#stop.reason === null) this.#stop.set(why);
    });
  }

  /** Calls a function of the host. What it throws has nobody to catch it here. */
  #tell(call: () => void): void {
    if (this.thrown !== null) return;
    try {
      call();
    } catch (error) {
      this.thrown = { error };
      this.#stop.set('what was told of the run was not taken');
    }
  }
}

/**
 * The runs of all `crashes`, `jobs` of them at a time. Those that have not begun when the host says to stop are left out. What a
 * function of the host throws stops all runs, and is thrown when they have ended. So is what a run throws: that of the first one in
 * their order.
 */
export async function crashSideBySide(
  guest: WaitingGuest,
  crashes: readonly Crash[],
  jobs: number,
  host: RunsHost,
): Promise<ReportedRun[]> {
  const stop = new SharedStop();
  const tells = {
    console: host.console !== undefined,
    event: host.event !== undefined,
    progress: host.progress !== undefined,
  };
  const pool = await poolOf(jobs, { shared: shareGuest(guest), stop: stop.memory, tells });
  const runs = new Runs(pool, host, stop);
  const looking = setInterval(() => runs.look(), lookMs);
  const ended = new Map<number, ReportedRun>();
  const errors = new Map<number, unknown>();
  // Each of these takes the next run when its last one has ended.
  const left = [...crashes.entries()];
  const isStopped = (): boolean => stop.reason !== null;
  const lane = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined && !isStopped(); next = left.shift()) {
      const [number, crash] = next;
      await runs.order.reached(number - aheadPerJob * jobs);
      if (isStopped()) return;
      try {
        ended.set(number, await runs.run(crash, number));
      } catch (error) {
        errors.set(number, error);
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(jobs, crashes.length) }, lane));
  } finally {
    clearInterval(looking);
    await pool.destroy();
  }
  if (runs.thrown !== null) throw runs.thrown.error;
  const first = [...errors.keys()].sort((a, b) => a - b)[0];
  if (first !== undefined) throw present(errors.get(first), 'an error');
  return [...ended].sort(([a], [b]) => a - b).map(([, run]) => run);
}
