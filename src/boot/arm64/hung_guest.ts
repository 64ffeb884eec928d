/**
 * What the vCPUs of an arm64 guest stand at when it has come to no end: an instruction that a guest of Xen cannot use, a fault,
 * an endless loop. Each statement is true of the vCPU's present state. A possible cause is written as a question.
 */
import { viewOf } from '../../abi/index.js';
import { needsLevel } from '../../machine/index.js';
import type { Arm64Machine, VcpuDiagnosis } from '../../machine/index.js';
import { addressesText, clausesOf, addressText } from '../hung_guest.js';
import type { HungGuest, LoadedKernel, RefusedInstruction } from '../hung_guest.js';
import type { XenVcpuId } from '../../identity/index.js';

/** An exception level above the one at which Xen runs its guests. */
export type HigherLevel = 'EL2' | 'EL3';

/** ESR_EL1.EC (Arm DDI 0487, D17.2.37). Aborts from EL1 have the class behind that of aborts from EL0. */
const classes = { unknown: 0x00, fetch: 0x21, pcAlignment: 0x22, data: 0x25 } as const;
const levelQuestions = {
  2: 'but Xen runs its guests at EL1 (is this the image of a hypervisor?)',
  3: 'but Xen runs its guests at EL1 (is this the image of a firmware?)',
} as const;

type Open = NonNullable<VcpuDiagnosis['open']>;

function isRefused({ syndrome, illegalSpsr }: Open): boolean {
  return illegalSpsr !== null || syndrome?.exceptionClass === classes.unknown;
}

/** Whether the vCPU ran into zeros in the kernel's memory behind the end of its file. */
function isBehindFile(machine: Arm64Machine, vcpu: XenVcpuId, open: Open, kernel: LoadedKernel): boolean {
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

/** Text for an exception return to a state that the CPU does not have. */
function returnWords({ level }: Open, spsr: number, instruction: string, at: string): string {
  if (level !== 1) return `tried to go to EL${level} by ${instruction} at ${at}, ${levelQuestions[level]}`;
  const state = `a state that an arm64 guest cannot have (SPSR_EL1 is 0x${spsr.toString(16)})`;
  return `tried to go by ${instruction} at ${at} to ${state}`;
}

/** The exception that the vCPU is handling, as a predicate; null if it explains nothing. */
function exceptionWords(
  machine: Arm64Machine,
  vcpu: XenVcpuId,
  { open, faultsAt, spinsAt }: VcpuDiagnosis,
  kernel: LoadedKernel,
): string | null {
  if (open === null) return null;
  const { text, pc, address, illegalSpsr, syndrome } = open;
  const instruction = text === null ? 'an instruction' : `"${text}"`;
  const at = addressText(kernel, pc);
  if (isBehindFile(machine, vcpu, open, kernel)) {
    return `ran into zeros at ${at}, behind the ${kernel.image.length} bytes of the kernel's file (is the file truncated?)`;
  }
  if (illegalSpsr !== null) return returnWords(open, illegalSpsr, instruction, at);
  const never = 'and has not returned from that exception';
  if (isRefused(open)) return `was refused ${instruction} at ${at}, ${never}: ${refusalWords(open)}`;
  // The run may have ended while the kernel was handling it.
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

/** The statements about one vCPU, as predicates. */
function predicatesOf(
  machine: Arm64Machine,
  vcpu: XenVcpuId,
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
    ...(spinsAt === null ? [] : [`spins at ${addressText(kernel, spinsAt)} with interrupts masked`]),
  ];
}

/** SCTLR_EL1.M */
const translationOn = 1n;
/**
 * An image with at least this many instructions for EL2 was built for EL2. By chance, one word in a million is such an
 * instruction, and an image has about a million words.
 */
const fewestPrivileged = 32;

/**
 * A hypervisor that is started at EL1 stops, often without a message. If the image is not Linux and translation was never
 * switched on, this says how many instructions for EL2 the image has; null if it has few.
 */
function hypervisorWords(machine: Arm64Machine, { image, version }: LoadedKernel): string | null {
  const isAtStart = machine.processor.vcpus.every(
    (view) => (view.systemRegister('SCTLR_EL1') & translationOn) === 0n,
  );
  if (version !== null || !isAtStart) return null;
  const view = viewOf(image.bytes);
  let count = 0;
  for (let at = 0; at + 4 <= image.length; at += 4) {
    if (needsLevel(view.getUint32(at, true)) === 2) count += 1;
  }
  if (count < fewestPrivileged) return null;
  return `its image has ${count} instructions that need EL2, but Xen runs its guests at EL1 (is this the image of a hypervisor?)`;
}

/** What the vCPUs of a guest that came to no end stand at. */
export function hungArm64Guest(machine: Arm64Machine, kernel: LoadedKernel): HungGuest {
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

function refusedOf(vcpu: XenVcpuId, { pc, text, level }: Open): RefusedInstruction {
  return { vcpu, pc, instruction: text, needs: level === 1 ? null : `EL${level}` };
}
