// Runs several processes at a time, for scripts that start many.
import { availableParallelism } from 'node:os';

/** Runs `work` on each item in order, at most `jobs` at a time. */
export async function inTurns(items, jobs, work) {
  const waiting = [...items];
  const worker = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: jobs }, worker));
}

/** The value of --jobs (default: the number of the host's cores). Ends the process if it is not a number. */
export function jobsOf(text = String(availableParallelism())) {
  if (/^[1-9]\d{0,2}$/.test(text)) return Number(text);
  console.error(`--jobs takes a number from 1 to 999, not '${text}'`);
  return process.exit(2);
}
