// Several processes at a time, for scripts that start many.
import { availableParallelism } from 'node:os';

/** Does `work` on each item, so many at a time, in order. */
export async function inTurns(items, jobs, work) {
  const waiting = [...items];
  const worker = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: jobs }, worker));
}

/** The value of --jobs; the host's cores unless given. Ends the process where it is no number. */
export function jobsOf(text = String(availableParallelism())) {
  if (/^[1-9]\d{0,2}$/.test(text)) return Number(text);
  console.error(`--jobs takes a number from 1 to 999, not '${text}'`);
  return process.exit(2);
}
