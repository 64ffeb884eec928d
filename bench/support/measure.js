// Figures of several rounds, and how they are printed.
import { cpus, loadavg } from 'node:os';

/** How many rounds the command line asks for. Ends the program where it asks for something else. */
export function roundsAsked(usage, usual) {
  const rounds = Number(process.argv[2] ?? usual);
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

/** `least / median`, the one that other work on the machine disturbs less coming first. */
export function leastAndMedian(values, digits = 2) {
  return `${least(values).toFixed(digits)} / ${median(values).toFixed(digits)}`;
}

export function holds(truth) {
  return truth ? 'holds' : 'does NOT hold';
}

/** What the figures are of: the machine, and what else runs on it. */
export function describeMachine() {
  const load = loadavg().map((value) => value.toFixed(1));
  const [{ model }] = cpus();
  return `Node ${process.versions.node}, ${cpus().length} x ${model.trim()}, load ${load.join(' ')}`;
}

/** Prints rows of cells as columns, the first to the left and the others to the right. */
export function printTable(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  for (const row of rows) {
    const cells = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]),
    );
    console.log(cells.join('  ').trimEnd());
  }
}
