/** A plain table for the terminal: columns, no boxes, a rule below the head. */
import Table from 'cli-table3';

const none = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '',
};

/** Width of the left margin, and of the gap between columns. */
const gap = 2;

/** The width of a cell without colour codes. */
function shownLength(cell: string): number {
  // eslint-disable-next-line no-control-regex
  return cell.replace(/\u001b\[\d+m/g, '').length;
}

/**
 * The table's lines. Cells may be coloured. `widths` fixes the width of columns, their gap included; longer text is
 * wrapped at spaces. Without it every column is as wide as its longest cell.
 */
export function tableLines(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  widths: readonly number[] = [],
): string[] {
  const table = new Table({
    chars: none,
    colWidths: [...widths],
    wordWrap: true,
    // Otherwise cli-table3 colours the head, even if colours are off.
    style: { head: [], border: [], 'padding-left': gap, 'padding-right': 0 },
  });
  const rule = head.map((_, column) => {
    const cells = [head, ...rows].map((row) => shownLength(row[column] ?? ''));
    return '─'.repeat((widths[column] ?? Math.max(...cells) + gap) - gap);
  });
  table.push([...head], rule, ...rows.map((row) => [...row]));
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd());
}
