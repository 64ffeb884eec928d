/**
 * The matrix on the terminal: a table for each platform, a row for each kind of scenario, a column for each strategy.
 * Strategies with the same results share a column, and platforms a table. Below it is a list of what does not apply, with
 * reasons.
 */
import { rules } from '../../audit/index.js';
import { rangesText } from '../../base/index.js';
import { strategies } from '../../explore/index.js';
import type { MatrixRow, PlatformName } from '../../explore/index.js';
import { platformNames } from './scenario_words.js';
import { labelled, wrap } from './style.js';
import type { Style } from './style.js';
import { tableLines } from './table.js';

/** Gap between columns, and before the first one. */
const gap = 2;
/** The least width of strategy names; and, if the page is too narrow, the maximum width of names of kinds. */
const headWidth = 14;
const narrowKind = 22;
const kindHead = 'scenario';

function unique<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}

/** `pass`, `n.a.`, or the name of the first broken rule; without one, the outcome. */
export function cellText({ passed, firstBroken, outcome }: MatrixRow): string {
  if (passed === null) return 'n.a.';
  return passed ? 'pass' : (firstBroken?.rule ?? outcome ?? 'not run');
}

/** Groups names with identical cells, in order of first occurrence. */
function alike(names: readonly string[], cellsOf: (name: string) => readonly string[]): string[][] {
  const groups = new Map<string, string[]>();
  for (const name of names) {
    const key = cellsOf(name).join('\n');
    groups.set(key, [...(groups.get(key) ?? []), name]);
  }
  return [...groups.values()];
}

/** A name in lines of at most `width`, broken after hyphens. */
function hyphenated(name: string, width: number): string[] {
  const lines = [''];
  for (const part of name.split(/(?<=-)/)) {
    const line = lines.at(-1) ?? '';
    if (line === '' || line.length + part.length <= width) lines[lines.length - 1] = line + part;
    else lines.push(part);
  }
  return lines;
}

function colouredCell(text: string, width: number, style: Style): string {
  if (text === 'n.a.') return style.dim(text);
  const lines = hyphenated(text, width);
  return lines.map((line) => style.tone(text === 'pass' ? 'good' : 'bad', line)).join('\n');
}

/** Why cells do not apply, with the strategies concerned: `mend; mend-nr-cpus: ...`. */
function reasons(rows: readonly MatrixRow[], nameOf: (row: MatrixRow) => string): string[] {
  const byReason = new Map<string, string[]>();
  for (const row of rows) {
    if (row.notApplicable === null) continue;
    byReason.set(row.notApplicable, unique([...(byReason.get(row.notApplicable) ?? []), nameOf(row)]));
  }
  return [...byReason].map(([reason, names]) => `${names.join('; ')}: ${reason}`);
}

function longest(texts: readonly string[]): number {
  return Math.max(...texts.map((text) => text.length));
}

interface Column {
  readonly cells: readonly string[];
  /** The names in its head; each ends with a comma if another follows. */
  readonly names: readonly string[];
}

/** The widths of the columns including gaps: what cells and names need, else what cells need, else what the page allows. */
function columnWidths(kinds: readonly string[], columns: readonly Column[], width: number): number[] {
  const byCells = columns.map(({ cells }) => Math.max(headWidth, longest(cells)) + gap);
  const byNames = columns.map(({ names }, i) => Math.max(byCells[i] ?? 0, longest(names) + gap));
  const ofKinds = longest(kinds) + gap;
  const leftBy = (wanted: readonly number[]): number =>
    width - wanted.reduce((sum, column) => sum + column, 0);
  if (leftBy(byNames) >= ofKinds) return [ofKinds, ...byNames];
  const left = leftBy(byCells);
  if (left >= narrowKind) return [Math.min(ofKinds, left), ...byCells];
  const each = Math.floor((width - narrowKind) / columns.length);
  return [narrowKind, ...columns.map(() => each)];
}

/** The kinds and strategies that apply to one platform, and the cells. */
interface Shown {
  readonly kinds: readonly string[];
  /** Strategies with the same results. */
  readonly columns: readonly (readonly string[])[];
  readonly leftOut: readonly string[];
  readonly cell: (kind: string, strategy: string | undefined) => string;
}

function shownOf(rows: readonly MatrixRow[]): Shown {
  const run = rows.filter(({ passed }) => passed !== null);
  const strategies = unique(run.map(({ strategy }) => strategy));
  const kinds = unique(run.map(({ kind }) => kind));
  const cell: Shown['cell'] = (kind, strategy) => {
    const row = rows.find((candidate) => candidate.kind === kind && candidate.strategy === strategy);
    return row === undefined ? 'n.a.' : cellText(row);
  };
  const others = rows.filter(({ strategy }) => !strategies.includes(strategy));
  const own = rows.filter(({ strategy }) => strategies.includes(strategy));
  return {
    kinds,
    columns: alike(strategies, (strategy) => kinds.map((kind) => cell(kind, strategy))),
    leftOut: [...reasons(others, ({ strategy }) => strategy), ...reasons(own, ({ kind }) => kind)],
    cell,
  };
}

/** The rows of one platform, as a table. */
function platformTable(rows: readonly MatrixRow[], style: Style): string[] {
  const { kinds, columns, leftOut, cell } = shownOf(rows);
  const texts = columns.map((names) => ({
    cells: kinds.map((kind) => cell(kind, names[0])),
    names: names.map((name, i) => (i < names.length - 1 ? `${name},` : name)),
  }));
  const [kindWidth = 0, ...widths] = columnWidths([kindHead, ...kinds], texts, style.width);
  const room = widths.map((width) => width - gap);
  const body = kinds.map((kind) => [
    kind,
    ...columns.map(([strategy], i) => colouredCell(cell(kind, strategy), room[i] ?? 0, style)),
  ]);
  const head = columns.map((names, i) =>
    names.map((name) => hyphenated(name, room[i] ?? 0).join('\n')).join(',\n'),
  );
  return [
    ...tableLines([kindHead, ...head], body, [kindWidth, ...widths]),
    ...leftOut.flatMap((line) => labelled('  n.a.  ', line, style.width)).map(style.dim),
  ];
}

function platformSections(rows: readonly MatrixRow[], style: Style): string[] {
  const platforms = unique(rows.map(({ platform }) => platform));
  const own = (platform: string): MatrixRow[] => rows.filter((row) => row.platform === platform);
  const groups = alike(platforms, (platform) => own(platform).map(cellText));
  return groups.flatMap((names) => [
    style.heading(names.map((name) => platformNames[name as PlatformName]).join(' and ')),
    ...platformTable(own(names[0] ?? ''), style),
    ...(names.includes('arm') ? labelled('  reset ', armReset, style.width) : []),
    '',
  ]);
}

/** A note on the Arm table. */
const armReset =
  'kexec and kdump assume a soft reset, which no Xen release offers on Arm; "no reset" shows today’s behaviour.';

/** The calls with which cells break that rule, as a sentence; empty if the rule is not about calls. */
function callsText(rows: readonly MatrixRow[], rule: string): string {
  const broken = rows.flatMap(({ firstBroken }) => (firstBroken?.rule === rule ? [firstBroken] : []));
  const ops = unique(broken.flatMap(({ op }) => op ?? []));
  return ops.length === 0 ? '' : ` Broken by ${ops.join(', ')}.`;
}

/** The rules that cells name, with their reasons and the calls that break them. */
function ruleLines(rows: readonly MatrixRow[], style: Style): string[] {
  const broken = new Set(rows.map((row) => row.firstBroken?.rule));
  const named = rules.filter(({ name }) => broken.has(name));
  if (named.length === 0) return [];
  const lines = named.flatMap(({ name, reason }) =>
    labelled(`  ${name}: `, `${reason}${callsText(rows, name)}`, style.width),
  );
  return [style.heading('The rules named above'), ...lines, ''];
}

/** The description of each column. */
function strategyLines(rows: readonly MatrixRow[], style: Style): string[] {
  const shown = new Set(rows.map(({ strategy }) => strategy));
  const lines = [...shown].flatMap((name) => labelled(`  ${name}: `, strategies[name].summary, style.width));
  return [style.heading('The strategies'), ...lines, ''];
}

/** How ids are assigned if not as by Xen. */
const policyTexts: readonly string[] = [
  'ids sparse: hardware ids with gaps, three apart',
  "ids permuted: Xen's hardware ids, each given to another vCPU",
  'ids beyond-255: hardware ids that do not fit into 8 bits',
  "ids uid-differs: Xen's hardware ids, but the ACPI processor UID is not the vCPU id, which breaks Xen's promise",
];

function policyLines(style: Style): string[] {
  const lines = policyTexts.flatMap((text) => labelled('  ', text, style.width));
  return [style.heading('Id policies other than Xen’s own'), ...lines, ''];
}

/** The whole matrix; ends without a line end. */
export function matrixText(rows: readonly MatrixRow[], style: Style): string {
  const run = rows.filter(({ passed }) => passed !== null);
  const passed = run.filter((row) => row.passed === true).length;
  const sizes = rangesText(run.flatMap(({ scenario }) => (scenario === null ? [] : [scenario.vcpus])));
  const intro =
    'Which way of learning vCPU ids works on which platform? Each cell is one run of model guests under a fixed schedule. It passes when ' +
    'the last kernel reaches user space and no audit rule is broken; otherwise the cell names the first broken rule. ' +
    `Guests have 4 vCPUs unless noted otherwise (all sizes: ${sizes}).`;
  return [
    ...wrap(intro, style.width),
    '',
    ...platformSections(rows, style),
    ...strategyLines(rows, style),
    ...policyLines(style),
    ...ruleLines(rows, style),
    `${run.length} runs: ${passed} pass, ${run.length - passed} do not; ${rows.length - run.length} cells do not apply.`,
  ].join('\n');
}
