/** What a thread of side-by-side runs executes: the tasks of crash_pool.ts. */
import { workerData } from 'node:worker_threads';
import { InputError } from '../base/index.js';
import { loadArchitecture } from '../boot/index.js';
import type { ReportedRun } from '../boot/index.js';
import { crashOn } from './crash_run.js';
import type { RunHost } from './crash_run.js';
import { guestOf, SharedBacklog, SharedStop } from './crash_shared.js';
import type { ThreadData, ThreadMessage, ThreadResult, ThreadTask } from './crash_shared.js';

// The pool has data of its own before ours.
const [, data] = workerData as readonly [unknown, ThreadData];
const guest = guestOf(data.shared);
const stop = new SharedStop(data.stop);

function hostOf({ port, backlog: memory }: ThreadTask): RunHost {
  const backlog = new SharedBacklog(memory);
  const tell = (message: ThreadMessage): void => {
    port.postMessage(message);
  };
  return {
    stopped: () => stop.reason,
    ...(data.tells.console
      ? {
          console: (bytes) => {
            tell({ console: bytes.slice() });
            backlog.add(bytes.length, stop);
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
  try {
    await loadArchitecture(guest.options.kernel.placement.architecture);
    return { run: await crashOn(guest, task.crash, hostOf(task)) };
  } catch (error) {
    const { name, message, stack = '' } = error instanceof Error ? error : new Error(String(error));
    return { isInput: error instanceof InputError, name, message, stack };
  } finally {
    task.port.postMessage(null);
    task.port.close();
  }
}
