// Statistics over rounds, and their output.
import { cpus, loadavg } from 'node:os';

/** The number of rounds from the command line. Ends the program if it is invalid. */
export function roundsAsked(usage, usual, positionals = process.argv.slice(2)) {
  const rounds = Number(positionals[0] ?? usual);
  if (Number.isInteger(rounds) && rounds >= 1) return rounds;
  console.error(`usage: ${usage} [ROUNDS], with ROUNDS a whole number from 1 on`);
  process.exit(2);
}

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function least(values) {
  return Math.min(...values);
}

/** `least / median`. The least value is disturbed less by other work on the machine. */
export function leastAndMedian(values, digits = 2) {
  return `${least(values).toFixed(digits)} / ${median(values).toFixed(digits)}`;
}

export function holds(truth) {
  return truth ? 'holds' : 'does NOT hold';
}

/** Describes the machine and its current load. */
export function describeMachine() {
  const load = loadavg().map((value) => value.toFixed(1));
  const [{ model }] = cpus();
  return `Node ${process.versions.node}, ${cpus().length} x ${model.trim()}, load ${load.join(' ')}`;
}

/** Prints rows of cells in columns. The first column is aligned left, the others right. */
export function printTable(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  for (const row of rows) {
    const cells = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]),
    );
    console.log(cells.join('  ').trimEnd());
  }
}
