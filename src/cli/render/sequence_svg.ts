/**
 * A sequence as an SVG drawing: a lane for each vCPU and one for Xen; next to them, what happens and what Xen
 * answered. The page also has the sequence as text, so the drawing is hidden from screen readers.
 */
import type { CallItem, Sequence, SequenceItem, StartItem } from '../../explore/index.js';
import { markup } from './markup.js';
import type { Markup } from './markup.js';
import { wrap } from './style.js';
import { phraseOf } from './words.js';
import type { Phrase, Tone } from './words.js';

const width = 1016;
const edge = 36;
const headHeight = 44;
const lineHeight = 19;
const padding = 6;
/** Average advance of a character, px: the monospaced text of calls, and the rest. */
const callAdvance = 7.6;
const textAdvance = 6.9;
const answerAdvance = 7.3;

interface Geometry {
  readonly vcpus: readonly number[];
  readonly pitch: number;
  /** x of Xen's lane. */
  readonly xen: number;
  /** x of the answers' column and its width. */
  readonly answerX: number;
  readonly answerWidth: number;
  /** x of the text. */
  readonly textX: number;
}

/** One item and where it is drawn. */
interface Row {
  readonly item: SequenceItem;
  readonly phrase: Phrase;
  readonly lines: readonly string[];
  readonly top: number;
  readonly height: number;
  /** The vCPUs that run the current kernel at the beginning and at the end of the row. */
  readonly before: ReadonlySet<number>;
  readonly after: ReadonlySet<number>;
}

function geometryOf({ vcpus, items }: Sequence): Geometry {
  const pitch = vcpus.length <= 5 ? 66 : 42;
  const xen = edge + vcpus.length * pitch;
  const longest = Math.max(1, ...items.map((item) => phraseOf(item).answer?.length ?? 0));
  const answerX = xen + 22;
  const answerWidth = Math.round(longest * answerAdvance + 14);
  return { vcpus, pitch, xen, answerX, answerWidth, textX: answerX + answerWidth + 14 };
}

function laneX({ vcpus, pitch }: Geometry, vcpu: number): number {
  return edge + Math.max(0, vcpus.indexOf(vcpu)) * pitch;
}

function advanceOf(item: SequenceItem): number {
  return item.kind === 'call' || item.kind === 'start' ? callAdvance : textAdvance;
}

function textLines(geometry: Geometry, item: SequenceItem, { text, remark }: Phrase): string[] {
  const columns = Math.floor((width - geometry.textX - 8) / advanceOf(item));
  const lines = wrap(text, columns);
  if (remark === '') return lines;
  const last = lines.at(-1) ?? '';
  const fits = last.length * advanceOf(item) + 18 + remark.length * textAdvance < width - geometry.textX - 8;
  return fits ? lines : [...lines, ''];
}

/** The vCPUs that run the current kernel after `item`. */
function runningAfter(item: SequenceItem, before: ReadonlySet<number>): ReadonlySet<number> {
  switch (item.kind) {
    case 'kernel':
      return new Set([item.vcpu]);
    case 'start':
      return item.runsAs === null || item.target === null ? before : new Set([...before, item.target]);
    case 'online':
      return new Set([...before, item.vcpu]);
    case 'offline':
    case 'stop':
      return new Set([...before].filter((vcpu) => vcpu !== item.vcpu));
    case 'again':
    case 'quiet':
      return new Set([...before, ...item.vcpus]);
    case 'call':
    case 'stray':
    case 'reset':
    case 'end':
      return before;
  }
}

function rowsOf(sequence: Sequence, geometry: Geometry): Row[] {
  const rows: Row[] = [];
  let top = headHeight;
  let before: ReadonlySet<number> = new Set();
  for (const item of sequence.items) {
    const phrase = phraseOf(item);
    const lines = textLines(geometry, item, phrase);
    const height = lines.length * lineHeight + 2 * padding;
    const after = runningAfter(item, before);
    rows.push({ item, phrase, lines, top, height, before, after });
    top += height;
    before = after;
  }
  return rows;
}

function middle({ top }: Row): number {
  return top + padding + lineHeight / 2;
}

function heads(geometry: Geometry): Markup[] {
  const box = (x: number, name: string, w: number): Markup =>
    markup` <rect class="headbox" x="${x - w / 2}" y="6" width="${w}" height="24" rx="6" />
      <text class="head" x="${x}" y="22.5" text-anchor="middle">${name}</text>`;
  const w = geometry.pitch - 8;
  const long = geometry.pitch > 50;
  return [
    ...geometry.vcpus.map((vcpu) => box(laneX(geometry, vcpu), long ? `vCPU ${vcpu}` : `v${vcpu}`, w)),
    box(geometry.xen, 'Xen', w),
  ];
}

function laneLine(x: number, from: number, to: number, isOn: boolean): Markup {
  return markup`<line class="lane ${isOn ? 'on' : 'off'}" x1="${x}" y1="${from}" x2="${x}" y2="${to}" />`;
}

function lanes(geometry: Geometry, row: Row): Markup[] {
  const { top, height, before, after } = row;
  const y = middle(row);
  const own = geometry.vcpus.flatMap((vcpu) => {
    const x = laneX(geometry, vcpu);
    return [laneLine(x, top, y, before.has(vcpu)), laneLine(x, y, top + height, after.has(vcpu))];
  });
  return [...own, laneLine(geometry.xen, top, top + height, true)];
}

function arrow(from: number, to: number, y: number, tone: Tone): Markup {
  const sign = to > from ? 1 : -1;
  const tip = to - sign * 1;
  return markup`<line class="arrow ${tone}" x1="${from}" y1="${y}" x2="${tip - sign * 7}" y2="${y}" />
    <polygon
      class="tip ${tone}"
      points="${tip},${y} ${tip - sign * 9},${y - 4.5} ${tip - sign * 9},${y + 4.5}"
    />
    <circle class="tip ${tone}" cx="${from}" cy="${y}" r="4.5" />`;
}

function diamond(x: number, y: number, tone: Tone): Markup {
  return markup`<polygon
    class="tip ${tone}"
    points="${x},${y - 6.5} ${x + 6.5},${y} ${x},${y + 6.5} ${x - 6.5},${y}"
  />`;
}

function cross(x: number, y: number, tone: Tone): Markup {
  const path = `M${x - 5},${y - 5} L${x + 5},${y + 5} M${x + 5},${y - 5} L${x - 5},${y + 5}`;
  return markup`<path class="cross ${tone}" d="${path}" />`;
}

function triangle(x: number, y: number, up: boolean, tone: Tone): Markup {
  const s = up ? 1 : -1;
  return markup`<polygon
    class="tip ${tone}"
    points="${x},${y - s * 6} ${x + 6},${y + s * 5} ${x - 6},${y + s * 5}"
  />`;
}

function callSigns(geometry: Geometry, item: CallItem, y: number, tone: Tone): Markup[] {
  const { from, passed, meant } = item;
  const arrowToXen = arrow(laneX(geometry, from), geometry.xen, y, tone);
  const isRight = passed === meant;
  // An id without a lane names no vCPU.
  if (passed === null || !geometry.vcpus.includes(passed) || (isRight && passed === from))
    return [arrowToXen];
  const named = laneX(geometry, passed);
  return [arrowToXen, isRight ? diamond(named, y, 'good') : cross(named, y, tone)];
}

function startSigns(geometry: Geometry, { from, target }: StartItem, y: number, tone: Tone): Markup[] {
  const start = laneX(geometry, from);
  if (target === null || target === from) return [cross(start, y, 'bad')];
  return [arrow(start, laneX(geometry, target), y, tone)];
}

/** What is drawn on the lanes. */
function signs(geometry: Geometry, row: Row): Markup[] {
  const { item, phrase } = row;
  const y = middle(row);
  switch (item.kind) {
    case 'call':
      return callSigns(geometry, item, y, phrase.tone);
    case 'start':
      return startSigns(geometry, item, y, phrase.tone);
    case 'kernel':
    case 'online':
      return [triangle(laneX(geometry, item.vcpu), y, true, phrase.tone)];
    case 'offline':
    case 'stop':
      return [triangle(laneX(geometry, item.vcpu), y, false, phrase.tone)];
    case 'stray':
      return [cross(laneX(geometry, item.vcpu), y, 'silent')];
    case 'again':
    case 'quiet':
    case 'reset':
    case 'end':
      return [];
  }
}

function band(row: Row): Markup[] {
  const { item, top, height } = row;
  const wanted = item.kind === 'kernel' || item.kind === 'reset' || item.kind === 'end';
  return wanted
    ? [markup`<rect class="band" x="0" y="${top + 2}" width="${width}" height="${height - 4}" rx="6" />`]
    : [];
}

function answerMark({ answerX, answerWidth }: Geometry, row: Row): Markup[] {
  const { answer, tone } = row.phrase;
  if (answer === null) return [];
  const y = middle(row);
  return [
    markup`<rect class="${tone}" x="${answerX}" y="${y - 9.5}" width="${answerWidth}" height="19" rx="5" />
      <text class="answer ${tone}" x="${answerX + answerWidth / 2}" y="${y + 4}">${answer}</text>`,
  ];
}

function textClass({ item, phrase }: Row): string {
  if (item.kind === 'call' || item.kind === 'start') return 'call';
  if (item.kind === 'again') return 'note';
  if (item.kind === 'online') return 'note';
  return item.kind === 'kernel' || item.kind === 'reset' || item.kind === 'end'
    ? `strong ${phrase.tone}`
    : phrase.tone;
}

function words(geometry: Geometry, row: Row): Markup[] {
  const { lines, phrase } = row;
  const x = phrase.answer === null ? geometry.answerX : geometry.textX;
  const y = (line: number): number => row.top + padding + line * lineHeight + 14;
  return lines.map((line, i) => {
    const isLast = i === lines.length - 1;
    const remark =
      isLast && phrase.remark !== ''
        ? markup`<tspan class="remark ${phrase.tone}" dx="${line === '' ? 0 : 14}">${phrase.remark}</tspan>`
        : null;
    return markup`<text class="${textClass(row)}" x="${x}" y="${y(i)}">${line}${remark}</text>`;
  });
}

/** The drawing. */
export function sequenceSvg(sequence: Sequence): Markup {
  const geometry = geometryOf(sequence);
  const rows = rowsOf(sequence, geometry);
  const last = rows.at(-1);
  const height = (last === undefined ? headHeight : last.top + last.height) + 6;
  return markup`<svg viewBox="0 0 ${width} ${height}" aria-hidden="true" focusable="false">
    ${rows.flatMap(band)}${rows.flatMap((row) => lanes(geometry, row))}${heads(geometry)}
    ${rows.map((row) => markup`<g>${signs(geometry, row)}${answerMark(geometry, row)}${words(geometry, row)}</g> `)}
  </svg>`;
}

/** Each sign, drawn in 24 by 24, and what it means. */
export const legendSigns: readonly (readonly [Markup, string])[] = [
  [markup`<circle class="tip good" cx="12" cy="12" r="4.5" />`, 'this vCPU makes the call'],
  [diamond(12, 12, 'good'), 'named in the call, and meant'],
  [cross(12, 12, 'silent'), 'named or reached, and not meant'],
  [triangle(12, 12, true, 'good'), 'a kernel enters, or a CPU comes online'],
  [laneLine(12, 1, 23, true), 'the vCPU runs the present kernel'],
  [laneLine(12, 1, 23, false), 'it does not, or not yet'],
];
