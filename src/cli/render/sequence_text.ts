/**
 * A sequence as lines of text: a lane for each vCPU, one for Xen, and next to them what happens. `●` marks the caller,
 * `◆` a vCPU that is named and was meant, `✗` one that is named but was not meant.
 */
import type { CallItem, Sequence, SequenceItem, StartItem } from '../../explore/index.js';
import { wrap } from './style.js';
import type { Style } from './style.js';
import { phraseOf } from './words.js';
import type { Phrase } from './words.js';

const margin = '  ';
const pitch = 5;

interface Lanes {
  readonly vcpus: readonly number[];
  /** Columns before the text. */
  readonly width: number;
}

function lanesOf({ vcpus }: Sequence): Lanes {
  return { vcpus, width: margin.length + vcpus.length * pitch + 2 };
}

function column({ vcpus }: Lanes, vcpu: number): number | null {
  const index = vcpus.indexOf(vcpu);
  return index < 0 ? null : margin.length + index * pitch;
}

function header(lanes: Lanes): string {
  const names = lanes.vcpus.map((vcpu) => `v${vcpu}`.padEnd(pitch));
  return `${margin}${names.join('')}Xen`;
}

/** The empty lanes. */
function idle(lanes: Lanes): string[] {
  const cells = Array.from({ length: lanes.width }, () => ' ');
  for (const vcpu of lanes.vcpus) cells[column(lanes, vcpu) ?? 0] = '│';
  cells[lanes.width - 2] = '│';
  return cells;
}

function line(cells: string[], from: number, to: number, head: string): void {
  const [left, right] = from < to ? [from, to] : [to, from];
  for (let at = left + 1; at < right; at += 1) cells[at] = cells[at] === '│' ? '┼' : '─';
  cells[from] = '●';
  cells[to] = head;
}

function mark(cells: string[], at: number | null, sign: string): void {
  if (at !== null) cells[at] = sign;
}

function drawCall(lanes: Lanes, cells: string[], { from, passed, meant }: CallItem): void {
  line(cells, column(lanes, from) ?? 0, lanes.width - 2, '▶');
  const isRight = passed === meant;
  if (passed === null || (isRight && passed === from)) return;
  mark(cells, column(lanes, passed), isRight ? '◆' : '✗');
}

function drawStart(lanes: Lanes, cells: string[], { from, target }: StartItem): void {
  const [start, end] = [column(lanes, from) ?? 0, target === null ? null : column(lanes, target)];
  if (end === null || end === start) mark(cells, start, '●');
  else line(cells, start, end, end > start ? '▶' : '◀');
}

/** The lanes with the item's symbols. */
function draw(lanes: Lanes, item: SequenceItem): string[] {
  const cells = idle(lanes);
  switch (item.kind) {
    case 'call':
      drawCall(lanes, cells, item);
      break;
    case 'start':
      drawStart(lanes, cells, item);
      break;
    case 'kernel':
    case 'online':
      mark(cells, column(lanes, item.vcpu), '▲');
      break;
    case 'offline':
    case 'stop':
      mark(cells, column(lanes, item.vcpu), '▼');
      break;
    case 'stray':
      mark(cells, column(lanes, item.vcpu), '✗');
      break;
    case 'reset':
      cells.fill('═', margin.length, lanes.width - 1);
      break;
    case 'again':
    case 'quiet':
    case 'end':
      break;
  }
  return cells;
}

function textOf({ text, answer, remark }: Phrase): string {
  return [text, answer === null ? '' : `→\u00a0${answer}`, remark].filter((part) => part !== '').join('  ');
}

function sayer({ kind }: SequenceItem, { tone }: Phrase, style: Style): (text: string) => string {
  if (kind === 'again') return style.dim;
  return kind === 'kernel' || kind === 'reset' ? style.strong : (text) => style.tone(tone, text);
}

function itemLines(lanes: Lanes, item: SequenceItem, style: Style): string[] {
  const phrase = phraseOf(item);
  const [first = '', ...rest] = wrap(textOf(phrase), style.width - lanes.width - 3).map((text) =>
    text.replaceAll('\u00a0', ' '),
  );
  const more = idle(lanes).join('');
  const say = sayer(item, phrase, style);
  return [
    `${draw(lanes, item).join('')} ${say(first)}`,
    ...rest.map((text) => `${more} ${say(`  ${text}`)}`),
  ];
}

/** The diagram's lines. */
export function sequenceLines(sequence: Sequence, style: Style): string[] {
  const lanes = lanesOf(sequence);
  return [style.dim(header(lanes)), ...sequence.items.flatMap((item) => itemLines(lanes, item, style))];
}
