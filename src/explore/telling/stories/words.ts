/** Sentences about a run, made from its contents. Each is true of any run; none assumes a result. */
import type { HypercallEvent } from '../../../audit/index.js';
import { answerText, idText } from '../../answers.js';
import type { ModelRun } from '../../scenario.js';
import { tallyOf } from '../tally.js';

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

function callsOf({ events }: ModelRun, op: string): HypercallEvent[] {
  return events.filter(
    (event): event is HypercallEvent => event.kind === 'hypercall' && event.call.op === op,
  );
}

/** Each text with its number of occurrences: `3 times with id 0: -EINVAL`, in order of first occurrence. */
function counted(texts: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return [...counts].map(([text, times]) => `${times === 1 ? 'once' : `${times} times`} ${text}`).join(', ');
}

/** How `op` was called and answered over the whole run. */
export function howCalled(run: ModelRun, op: string): string {
  const calls = callsOf(run, op).map(({ call }) => {
    return `with ${call.vcpuId === null ? 'no id' : idText(call.vcpuId)} (answer ${answerText(call.returned)})`;
  });
  return calls.length === 0 ? `${op} was never called.` : `${op} was called ${counted(calls)}.`;
}

/** How many starts of vCPUs were requested. */
export function startsMade(run: ModelRun, name: string): string {
  const { starts } = tallyOf(run);
  return starts === 0
    ? `No ${name} was ever made.`
    : `${name} was made ${starts === 1 ? 'once' : `${starts} times`}.`;
}

/** How many calls with a wrong id were refused, and how many were accepted. */
export function howWrongWasAnswered(run: ModelRun): string {
  const { refused, silent, calls } = tallyOf(run);
  const wrong = refused + silent;
  if (wrong === 0) return `All ${plural(calls, 'call')} that carry a vCPU id carry the intended one.`;
  return `${plural(wrong, 'call')} of ${calls} carried an id that was not meant: Xen refused ${refused} and silently accepted ${silent}.`;
}

/** How often an unset record was read. */
export function readsOfUnset({ events }: ModelRun): string {
  const reads = events.filter((event) => event.kind === 'use');
  const unset = reads.filter((event) => !event.recorded).length;
  return `${unset} of ${plural(reads.length, 'reading')} of the map found a record that had not been written yet.`;
}

/** Who is online at the end, and who is not. */
export function whoIsOnline({ cpus }: ModelRun): string {
  const last = Math.max(...cpus.map(({ kernel }) => kernel));
  const own = cpus.filter(({ kernel }) => kernel === last);
  const online = own.filter((row) => row.online).length;
  return `Online at the end: ${online} of the ${plural(own.length, 'CPU')} that the kernel counts.`;
}
