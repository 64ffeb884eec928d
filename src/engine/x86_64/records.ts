/** Decodes instructions into records. */
import { present } from '../../base/index.js';
import { flowOf } from '../../isa/index.js';
import * as x86_64 from '../../isa/x86_64/index.js';
import type { ImmediateOperand } from '../../isa/index.js';
import type { CpuParts } from '../architecture.js';
import { specialHandlers } from '../handlers.js';
import type { HandlerChoice } from '../handlers.js';
import { fillRecord, placedOperands } from '../record.js';
import type { PlacedOperand } from '../record.js';
import type { CodeBytes, DecodedInstruction } from '../straight_runs.js';
import { exception, invalidOpcode, vectors } from './events.js';
import type { X86Host } from './host.js';
import { trapping, variantOf } from './vcpu.js';
import type { Event, Variant } from './vcpu.js';

const { hasFeatures, longest, registerFile } = x86_64;
type X86Instruction = x86_64.X86Instruction;
type Fields = x86_64.Fields;

/** Created on first use, and shared by all processors. */
let decoder: x86_64.Decoder | null = null;

/** Decodes the instruction at the start of some bytes. One that the CPU lacks is undefined. */
export function decode(
  bytes: Uint8Array,
  mode: x86_64.Mode,
  { features }: Pick<X86Host, 'features'>,
): x86_64.Decoded {
  decoder ??= x86_64.makeDecoder(x86_64.x86);
  const found = decoder.decode(bytes, mode);
  if (found.kind !== 'instruction') return found;
  const { fields } = found;
  return hasFeatures(features, found.instruction.feature) ? found : { kind: 'undefined', fields };
}

/** Features whose instructions use the state of x87. Those of SSE that use its registers are `vector`; fences and MOVNTI are not. */
const floatFeatures = /^(fpu|fxsr)\b/;

/** Whether it uses MMX registers; with XMM registers beside them it is `vector` too. */
const isMmx = ({ feature }: X86Instruction): boolean => feature?.startsWith('mmx') === true;

const isX87 = (instruction: X86Instruction): boolean =>
  floatFeatures.test(instruction.feature ?? '') || isMmx(instruction);

/** Whether an instruction raises #NM or #UD by CR0 and CR4; `floatTrap` says which. */
function doesTrap(instruction: X86Instruction, { traps }: Variant): boolean {
  const { taskSwitched, emulated, withoutVectors, waits } = trapping;
  if (instruction.name === 'FWAIT') return (traps & waits) !== 0;
  if ((traps & (taskSwitched | emulated)) !== 0 && isX87(instruction)) return true;
  return instruction.vector && (traps & (taskSwitched | emulated | withoutVectors)) !== 0;
}

/** The exception that a trapping instruction raises (SDM, volume 3, 2.5, and tables 2-2 and 13-1 there). */
export function floatTrap(instruction: X86Instruction, { traps }: Variant): Event {
  const { emulated, withoutVectors } = trapping;
  const undefining =
    (isMmx(instruction) || !isX87(instruction) ? emulated : 0) | (instruction.vector ? withoutVectors : 0);
  return (traps & undefining) === 0 ? exception(vectors.deviceNotAvailable) : invalidOpcode();
}

/** How to turn an instruction's bytes into records. */
interface Way {
  readonly choice: HandlerChoice;
  readonly placed: readonly PlacedOperand[];
  readonly near: ImmediateOperand | null;
  readonly fallsThrough: boolean;
}

type DecoderParts = Pick<CpuParts<X86Host>, 'memory' | 'plan' | 'provide' | 'host'>;

export class RecordDecoder {
  readonly #parts: DecoderParts;
  readonly #ways = new Map<X86Instruction, Way>();

  constructor(parts: DecoderParts) {
    this.#parts = parts;
  }

  /** Decodes an instruction into its record; see `DecodeInstruction`. */
  decode({ bytes, at, end, offset, variant, record }: CodeBytes): DecodedInstruction | null {
    const kind = variantOf(variant);
    const found = decode(bytes.subarray(at, Math.min(end, at + longest)), kind.mode, this.#parts.host);
    if (found.kind === 'truncated') return null;
    if (found.kind === 'tooLong') return this.#special(record, specialHandlers.undefined, longest);
    if (found.kind === 'undefined') {
      return this.#special(record, specialHandlers.undefined, found.fields?.length ?? longest);
    }
    const { instruction, fields } = found;
    if (doesTrap(instruction, kind)) return this.#special(record, specialHandlers.vectorTrap, fields.length);
    const placed = placedInPage(fields, offset);
    if (placed === null) return this.#special(record, specialHandlers.undefined, fields.length);
    return this.#fill(record, instruction, placed, offset, (kind.traps & trapping.steps) !== 0);
  }

  /** A record of an instruction that is never carried out. */
  #special(record: number, handler: number, bytes: number): DecodedInstruction {
    this.#parts.memory.view.setUint16(record, handler, true);
    return { bytes, fallsThrough: false };
  }

  #fill(
    record: number,
    instruction: X86Instruction,
    fields: Fields,
    offset: number,
    isStep: boolean,
  ): DecodedInstruction {
    const { view } = this.#parts.memory;
    const { choice, placed, near, fallsThrough } = this.#wayOf(instruction);
    fillRecord(view, record, placed, fields);
    const target = near === null ? -1 : offset + Number(near.value(fields));
    const isNear = target >= 0 && target < 4096;
    view.setUint16(record, (isNear ? choice.near : null) ?? choice.plain, true);
    return { bytes: fields.length, fallsThrough, isStep };
  }

  #wayOf(instruction: X86Instruction): Way {
    const known = this.#ways.get(instruction);
    if (known !== undefined) return known;
    const { plan, provide } = this.#parts;
    const choice = present(plan.choices.get(instruction.name), instruction.name);
    provide(choice.plain);
    const near = instruction.operands[choice.nearOperand ?? ''];
    const way = {
      choice,
      placed: placedOperands(instruction),
      near: near?.kind === 'immediate' ? near : null,
      fallsThrough: flowOf(instruction.semantics.statements).fallsThrough,
    };
    this.#ways.set(instruction, way);
    return way;
  }
}

/**
 * The fields as a record takes them: an address relative to the next instruction becomes one relative to the page, whose address
 * the register `nextInstruction` holds (straight_layout.ts). Null where the displacement then needs more than 32 bits.
 */
function placedInPage(fields: Fields, offset: number): Fields | null {
  if (fields.base !== registerFile.nextInstruction || fields.modrm < 0 || fields.mod === 3) return fields;
  const displacement = fields.displacement + offset + fields.length;
  return displacement >= 2 ** 31 ? null : { ...fields, displacement };
}
