/** What a thread of side-by-side runs executes: the tasks of crash_pool.ts. */
import { workerData } from 'node:worker_threads';
import type { TraceEvent } from '../audit/index.js';
import { InputError } from '../base/index.js';
import { loadArchitecture } from '../boot/index.js';
import type { ReportedRun } from '../boot/index.js';
import { crashOn } from './crash_run.js';
import type { RunHost } from './crash_run.js';
import { eventsBytes, guestOf, SharedBacklog, SharedStop } from './crash_shared.js';
import type { ThreadData, ThreadMessage, ThreadResult, ThreadTask } from './crash_shared.js';

// The pool has data of its own before ours.
const [, data] = workerData as readonly [unknown, ThreadData];
const guest = guestOf(data.shared);
const stop = new SharedStop(data.stop);

/** How many events one message has at most. */
const mostEvents = 256;

/** A run's host in this thread, and what tells the last events. */
function hostOf({ port, backlog: memory }: ThreadTask): RunHost & { readonly flush: () => void } {
  const backlog = new SharedBacklog(memory);
  const tell = (message: ThreadMessage): void => {
    port.postMessage(message);
  };
  let events: TraceEvent[] = [];
  const flush = (): void => {
    const { length } = events;
    if (length === 0) return;
    tell({ events });
    events = [];
    backlog.add(eventsBytes(length), stop);
  };
  return {
    flush,
    stopped: () => stop.reason,
    ...(data.tells.console
      ? {
          console: (bytes) => {
            tell({ console: bytes.slice() });
            backlog.add(bytes.length, stop);
          },
        }
      : {}),
    ...(data.tells.event
      ? {
          event: (event) => {
            events.push(event);
            if (events.length >= mostEvents) flush();
          },
        }
      : {}),
    ...(data.tells.progress
      ? { progress: (instructions, guestTimeNs) => tell({ instructions, guestTimeNs }) }
      : {}),
  };
}

/** One run. Never throws. */
export async function runTask(task: ThreadTask): Promise<ThreadResult<ReportedRun>> {
  const host = hostOf(task);
  try {
    await loadArchitecture(guest.options.kernel.placement.architecture);
    return { run: await crashOn(guest, task.crash, host) };
  } catch (error) {
    const { name, message, stack = '' } = error instanceof Error ? error : new Error(String(error));
    return { isInput: error instanceof InputError, name, message, stack };
  } finally {
    host.flush();
    task.port.postMessage(null);
    task.port.close();
  }
}
