/** Compares outcomes of this engine with those of the reference. */
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
/** Bits 31 to 28 of FPSR belong to AArch32. */
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

/**
 * The differences; empty if there are none. A word that faulted or is not allocated has changed nothing on either side.
 */
export function differences(ours: Outcome, theirs: Outcome): string[] {
  if (ours.ending !== theirs.ending) return [`${ours.ending}, reference ${theirs.ending}`];
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

/** A known bug of the reference (qemu 7.2, user mode): a difference from the architecture, with the manual's rule. */
export interface ReferenceFault {
  readonly name: string;
  readonly manual: string;
  /** Names of the affected definitions. */
  readonly instructions: RegExp;
  /** Whether this bug explains the difference between two outcomes. */
  explains(ours: Outcome, theirs: Outcome): boolean;
}

/** Whether the sides differ only in that one of them faulted. */
function onlyFaultDiffers(ours: Outcome, theirs: Outcome): boolean {
  return [ours.ending, theirs.ending].sort().join(' ') === 'done fault';
}

export const referenceFaults: readonly ReferenceFault[] = [
  {
    name: 'a store-exclusive that no monitor lets through does not look at its address',
    manual:
      'DDI 0487, AArch64.ExclusiveMonitorsPass: an address that is not aligned faults whatever the monitor says, and others may; ' +
      'qemu keeps an open monitor as address -1, so that a store there does access memory',
    instructions: /^STL?X.*_ldstexcl$/,
    explains: onlyFaultDiffers,
  },
  {
    name: 'cache maintenance by address does not look at its address',
    manual: 'DDI 0487, D7.5.9: DC and IC by address, DC ZVA too, fault where an access would',
    instructions: /^SYS_(ic|dc)_/,
    explains: onlyFaultDiffers,
  },
];

/** The name of the reference's bug that explains how two outcomes of a word differ; null if there is none. */
export function knownFault(decoder: Decoder, word: number, ours: Outcome, theirs: Outcome): string | null {
  const name = decoder.decode(word, 'EL0t')?.name ?? '';
  const fault = referenceFaults.find((one) => one.instructions.test(name) && one.explains(ours, theirs));
  return fault?.name ?? null;
}

/** The initial values of the registers in a difference, from the test's initial state. */
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

/** A readable description of a difference: the word, its text, the initial state, and both outcomes. */
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
