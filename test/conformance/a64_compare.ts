/** Holds outcomes of our engine against the reference's. */
import { printInstruction } from '../../src/isa/index.js';
import type { Decoder } from '../../src/isa/index.js';
import {
  changedBytes,
  outcomeBytes,
  outcomeOffsets,
  slotBytes,
  slotsStart,
  stateOffsets,
  wordOffset,
} from './a64_layout.js';
import type { Ending, Outcome } from './a64_machine.js';
import type { WordTest } from './a64_reference.js';

const illegalInstruction = 4;
const generalNames = [
  ...Array.from({ length: 31 }, (_, number) => `x${number}`),
  'sp',
  'nzcv',
  'fpcr',
  'fpsr',
];
/** FPSR's bits 31 to 28 belong to AArch32. */
const fpsrMask = 0x0fffffffn;

/** The reference's outcome of test `index`. */
export function referenceOutcome(outcomes: DataView, index: number): Outcome {
  const at = index * outcomeBytes;
  const get = (offset: number): bigint => outcomes.getBigUint64(at + offset, true);
  const pc = get(outcomeOffsets.pc);
  const signal = outcomes.getUint32(at + outcomeOffsets.signal, true);
  const stayed = pc === slotsStart + BigInt(index * slotBytes + wordOffset);
  const ended: Ending = signal === illegalInstruction ? 'undefined' : 'fault';
  return {
    ending: stayed ? ended : 'done',
    pc,
    general: generalNames.map((name, place) => get(8 * place) & (name === 'fpsr' ? fpsrMask : ~0n)),
    vectors: Array.from({ length: 64 }, (_, half) => get(stateOffsets.v + 8 * half)),
    memory: changes(outcomes, at),
  };
}

function changes(outcomes: DataView, at: number): string {
  const first = outcomes.getUint32(at + outcomeOffsets.first, true);
  const last = outcomes.getUint32(at + outcomeOffsets.last, true);
  if (first > last) return '';
  const length = Math.min(last - first + 1, changedBytes);
  const bytes = Buffer.from(outcomes.buffer, outcomes.byteOffset + at + outcomeOffsets.changed, length);
  return `${first}: ${bytes.toString('hex')}`;
}

function hex(value: bigint | undefined): string {
  return `0x${(value ?? 0n).toString(16)}`;
}

/** What differs; empty when nothing does. After a fault only that it faulted counts. */
export function differences(ours: Outcome, theirs: Outcome): string[] {
  if (ours.ending !== theirs.ending) return [`${ours.ending}, reference ${theirs.ending}`];
  if (ours.ending !== 'done') return [];
  const found: string[] = [];
  if (ours.pc !== theirs.pc) found.push(`pc ${hex(ours.pc)}, reference ${hex(theirs.pc)}`);
  for (const [place, name] of generalNames.entries()) {
    if (ours.general[place] === theirs.general[place]) continue;
    found.push(`${name} ${hex(ours.general[place])}, reference ${hex(theirs.general[place])}`);
  }
  for (let half = 0; half < 64; half += 1) {
    if (ours.vectors[half] === theirs.vectors[half]) continue;
    const name = `v${half >> 1}.d[${half & 1}]`;
    found.push(`${name} ${hex(ours.vectors[half])}, reference ${hex(theirs.vectors[half])}`);
  }
  if (ours.memory !== theirs.memory) found.push(`memory ${ours.memory}, reference ${theirs.memory}`);
  return found;
}

/**
 * Where the reference is known to differ from the architecture in whether an access faults. A store-exclusive whose address is
 * not aligned faults whatever the monitor says (DDI 0487, AArch64.ExclusiveMonitorsPass), and may fault for other reasons: qemu
 * 7.2 does not look while the monitor is open, which it keeps as address -1, so that a store there does access memory. Cache
 * maintenance by address, DC ZVA too, faults where an access would (D7.5.9): qemu in user mode does nothing with the address.
 */
const laxities: readonly RegExp[] = [/^STL?X.*_ldstexcl$/, /^SYS_(ic|dc)_/];

/** Whether all that differs is such a fault. */
export function isKnownLaxity(name: string, ours: Outcome, theirs: Outcome): boolean {
  const endings = [ours.ending, theirs.ending].sort().join(' ');
  return endings === 'done fault' && laxities.some((one) => one.test(name));
}

/** The registers that a difference is about, as they were: from the state that the test began with. */
function before(states: DataView, text: string): string {
  const lines: string[] = [];
  for (const [, letter = '', digits = ''] of text.matchAll(/\b([xwbhsdqv])(\d+)\b/g)) {
    const number = Number(digits);
    const isGeneral = letter === 'x' || letter === 'w';
    const at = isGeneral ? 8 * number : stateOffsets.v + 16 * number;
    const low = hex(states.getBigUint64(at, true));
    if (number < 32) {
      lines.push(
        isGeneral ? `x${number}=${low}` : `v${number}=${hex(states.getBigUint64(at + 8, true))}:${low}`,
      );
    }
  }
  const named = (['nzcv', 'fpcr', 'fpsr'] as const).map(
    (name) => `${name}=${hex(states.getBigUint64(stateOffsets[name], true))}`,
  );
  return [...new Set(lines), ...named].join(' ');
}

/** One test's difference for a reader: the word, its text, where it began, and what came of it. */
export function describe(
  decoder: Decoder,
  { word, state }: WordTest,
  states: Uint8Array,
  stateBytes: number,
  found: readonly string[],
): string {
  const definition = decoder.decode(word, 'EL0t');
  const text = definition === null ? 'unallocated' : printInstruction(definition, word, 0n);
  const view = new DataView(states.buffer, states.byteOffset + state * stateBytes, stateBytes);
  const name = definition === null ? '' : ` (${definition.name})`;
  return `0x${word.toString(16).padStart(8, '0')} ${text}${name}\n    ${before(view, text)}\n    ${found.join('\n    ')}`;
}
