// The log of a corpus: the result of each run as a line of JSON, so that a long corpus can be made in several goes.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';

/** The log in `file`; without a file, one that has nothing and keeps nothing. */
export function resultLog(file) {
  const text = file !== undefined && existsSync(file) ? readFileSync(file, 'utf8') : '';
  const lines = text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  const passed = new Map(lines.map(({ name, ok }) => [name, ok]));
  return {
    /** How many of the runs the log has as passed, and how many as failed. */
    counts(runs) {
      const known = runs.map(({ name }) => passed.get(name));
      return {
        passed: known.filter((ok) => ok === true).length,
        failed: known.filter((ok) => ok === false).length,
      };
    },

    /** The runs that the log does not have yet. */
    without: (runs, nameOf = ({ name }) => name) => runs.filter((run) => !passed.has(nameOf(run))),

    /** Adds the result of a run (of `bootOnce`), and its complaints. */
    add(name, ok, { status, report, seconds, again }, complaints) {
      if (file === undefined) return;
      const { instructions = null, traceSha256 = null } = report?.runs[0] ?? {};
      const kernel = report?.kernel?.version ?? null;
      const line = { name, ok, status, complaints, kernel, instructions, traceSha256, seconds, again };
      appendFileSync(file, `${JSON.stringify(line)}\n`);
    },
  };
}
