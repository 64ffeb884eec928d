/**
 * What is said of a guest that came to no end: what it asked for that a guest of Xen cannot have, where it faults, where it
 * spins. Every statement is true of the vCPU as it stands; what may lie behind it is put as a question.
 */
import { viewOf } from '../abi/index.js';
import { needsLevel } from '../machine/index.js';
import type { Arm64Machine, VcpuDiagnosis } from '../machine/index.js';

/** An instruction that the CPU refused at EL1, and whose exception the guest never returned from. */
export interface RefusedInstruction {
  readonly vcpu: number;
  readonly pc: bigint;
  /** As objdump writes it, or the word in hexadecimal; null where nothing can be read there. */
  readonly instruction: string | null;
  /** The exception level that it needs; null where none would help. */
  readonly needs: 'EL2' | 'EL3' | null;
}

export interface HungGuest {
  /** Clauses for the line that says how the run ended, in the order of vCPUs; mostly none. */
  readonly clauses: readonly string[];
  readonly refused: RefusedInstruction | null;
}

/** What must be known of the kernel. */
export interface LoadedKernel {
  /** Guest physical address of its image. */
  readonly at: bigint;
  /** Its file, unpacked. */
  readonly image: Uint8Array;
  /** The memory that it takes from `at` on, in bytes. */
  readonly memoryBytes: number;
  /** What it calls itself after "Linux version"; null where it does not. */
  readonly version: string | null;
  /** A kernel address by the kernel's own symbols; as a number where there is none. */
  symbolAt(address: bigint): string;
}

/** ESR_EL1.EC (Arm DDI 0487, D17.2.37). Aborts from EL1 have the class behind that of aborts from EL0. */
const classes = { unknown: 0x00, fetch: 0x21, pcAlignment: 0x22, data: 0x25 } as const;
/** More than two clauses make no line. */
const mostClauses = 2;
const mostAddresses = 4;

const levelQuestions = {
  2: 'but Xen runs its guests at EL1 (is this the image of a hypervisor?)',
  3: 'but Xen runs its guests at EL1 (is this the image of a firmware?)',
} as const;

type Open = NonNullable<VcpuDiagnosis['open']>;

function placeText(kernel: LoadedKernel, address: bigint): string {
  const number = `0x${address.toString(16)}`;
  const symbol = kernel.symbolAt(address);
  return symbol === number ? number : `${number} (${symbol})`;
}

function isRefused({ syndrome, illegalSpsr }: Open): boolean {
  return illegalSpsr !== null || syndrome?.exceptionClass === classes.unknown;
}

/** Whether the vCPU ran into zeros where the kernel's memory is, but nothing of its file. */
function isBehindFile(machine: Arm64Machine, vcpu: number, open: Open, kernel: LoadedKernel): boolean {
  const { pc, word } = open;
  const physical = machine.processor.vcpus[vcpu]?.translate(pc, 'fetch') ?? null;
  const offset = physical === null ? -1 : Number(physical - kernel.at);
  return isRefused(open) && word === 0 && offset >= kernel.image.length && offset < kernel.memoryBytes;
}

/** Why the CPU refused an instruction. */
function refusalWords({ level, word }: Open): string {
  if (level !== 1) return `it needs EL${level}, ${levelQuestions[level]}`;
  if (word === 0) return 'there is no code, but zeros';
  return 'it is Undefined on the emulated CPU, a Cortex-A57';
}

/** An exception return to a state that the CPU has not. */
function returnWords({ level }: Open, spsr: number, instruction: string, at: string): string {
  if (level !== 1) return `tried to go to EL${level} by ${instruction} at ${at}, ${levelQuestions[level]}`;
  const state = `a state that an arm64 guest cannot have (SPSR_EL1 is 0x${spsr.toString(16)})`;
  return `tried to go by ${instruction} at ${at} to ${state}`;
}

/** The exception that the vCPU is in, as a predicate; null where it says nothing. */
function exceptionWords(
  machine: Arm64Machine,
  vcpu: number,
  { open, faultsAt, spinsAt }: VcpuDiagnosis,
  kernel: LoadedKernel,
): string | null {
  if (open === null) return null;
  const { text, pc, address, illegalSpsr, syndrome } = open;
  const instruction = text === null ? 'an instruction' : `"${text}"`;
  const at = placeText(kernel, pc);
  if (isBehindFile(machine, vcpu, open, kernel)) {
    return `ran into zeros at ${at}, behind the ${kernel.image.length} bytes of the kernel's file (is the file truncated?)`;
  }
  if (illegalSpsr !== null) return returnWords(open, illegalSpsr, instruction, at);
  const never = 'and has not returned from that exception';
  if (isRefused(open)) return `was refused ${instruction} at ${at}, ${never}: ${refusalWords(open)}`;
  // The run may have ended while a kernel was at work on it.
  if (faultsAt === null && spinsAt === null) return null;
  const where = `0x${(address ?? pc).toString(16)}`;
  switch (syndrome?.exceptionClass ?? classes.unknown) {
    case classes.fetch:
    case classes.pcAlignment:
      return `jumped to ${where}, where no instruction can be fetched, ${never}`;
    case classes.data:
      return `faulted by accessing ${where} at ${at}, ${never}`;
    default:
      return `faulted by ${instruction} at ${at}, ${never}`;
  }
}

function addressesText(addresses: readonly bigint[], kernel: LoadedKernel): string {
  const shown = addresses.slice(0, mostAddresses).map((address) => placeText(kernel, address));
  return addresses.length > mostAddresses ? `${shown.join(', ')} and more` : shown.join(', ');
}

/** What is to be said of one vCPU, as predicates. */
function predicatesOf(
  machine: Arm64Machine,
  vcpu: number,
  diagnosis: VcpuDiagnosis,
  kernel: LoadedKernel,
): string[] {
  const { faultsAt, spinsAt, unknownCall } = diagnosis;
  const exception = exceptionWords(machine, vcpu, diagnosis, kernel);
  const id = (unknownCall?.functionId ?? 0).toString(16);
  return [
    ...(exception === null ? [] : [exception]),
    ...(unknownCall === null
      ? []
      : [
          `made its last call, ${unknownCall.instruction} #0 with function 0x${id}, which Xen does not serve`,
        ]),
    ...(faultsAt === null ? [] : [`faults again and again at ${addressesText(faultsAt, kernel)}`]),
    ...(spinsAt === null ? [] : [`spins at ${placeText(kernel, spinsAt)} with interrupts masked`]),
  ];
}

/** Those of which the same is to be said share a clause. */
function clausesOf(said: readonly { readonly vcpu: number; readonly text: string }[]): string[] {
  const groups = new Map<string, number[]>();
  for (const { vcpu, text } of said) groups.set(text, [...(groups.get(text) ?? []), vcpu]);
  return [...groups].slice(0, mostClauses).map(([text, [first = 0, ...others]]) => {
    const more = others.length === 1 ? '1 more vCPU' : `${others.length} more vCPUs`;
    return `vCPU ${first} ${text}${others.length === 0 ? '' : ` (the same of ${more})`}`;
  });
}

/** SCTLR_EL1.M */
const translationOn = 1n;
/**
 * So many words of an image are instructions for EL2 by no chance: one word in a million is, and an image has some million
 * words.
 */
const fewestPrivileged = 32;

/**
 * A hypervisor that finds itself at EL1 gives up, often without a word. Says how many instructions for EL2 an image has that
 * is no Linux and never switched translation on; null where there are few.
 */
function hypervisorWords(machine: Arm64Machine, { image, version }: LoadedKernel): string | null {
  const isAtStart = machine.processor.vcpus.every(
    (view) => (view.systemRegister('SCTLR_EL1') & translationOn) === 0n,
  );
  if (version !== null || !isAtStart) return null;
  const view = viewOf(image);
  let count = 0;
  for (let at = 0; at + 4 <= image.length; at += 4) {
    if (needsLevel(view.getUint32(at, true)) === 2) count += 1;
  }
  if (count < fewestPrivileged) return null;
  return `its image has ${count} instructions that need EL2, but Xen runs its guests at EL1 (is this the image of a hypervisor?)`;
}

/** What the vCPUs of a guest stand at that came to no end. */
export function hungGuest(machine: Arm64Machine, kernel: LoadedKernel): HungGuest {
  const diagnoses = machine.vcpus.flatMap((vcpu) => {
    const diagnosis = machine.board.diagnose(vcpu);
    return diagnosis === null ? [] : [{ vcpu, diagnosis }];
  });
  const said = diagnoses.map(({ vcpu, diagnosis }) => ({
    vcpu,
    text: predicatesOf(machine, vcpu, diagnosis, kernel).join('; it '),
  }));
  const [refused] = diagnoses.flatMap(({ vcpu, diagnosis: { open } }) =>
    open !== null && isRefused(open) ? [{ vcpu, open }] : [],
  );
  const spins = diagnoses.some(({ diagnosis: { spinsAt } }) => spinsAt !== null);
  const hypervisor = spins && refused === undefined ? hypervisorWords(machine, kernel) : null;
  return {
    clauses: [
      ...clausesOf(said.filter(({ text }) => text !== '')),
      ...(hypervisor === null ? [] : [hypervisor]),
    ],
    refused: refused === undefined ? null : refusedOf(refused.vcpu, refused.open),
  };
}

function refusedOf(vcpu: number, { pc, text, level }: Open): RefusedInstruction {
  return { vcpu, pc, instruction: text, needs: level === 1 ? null : `EL${level}` };
}
