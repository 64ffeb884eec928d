/** Small guests for the machine's tests: assembler programs in a machine of 1 MiB, with translation off. */
import { invariant } from '../base/index.js';
import type { DomainConfig } from '../hypervisor/index.js';
import { mpidrOfVcpu, xenVcpuId } from '../identity/index.js';
import { a64, parseInstruction } from '../isa/index.js';
import { arm64Machine } from './arm64/board.js';
import type { Arm64Machine } from './arm64/board.js';
import type { MachineListener } from './board.js';

/** Start of the guests' memory; its size is 1 MiB. */
export const ramStart = 0x4000_0000;
const ramFrames = 256;
/** Address of the entry point, of the exception vectors, and of the results that a test reads. */
export const entry = ramStart + 0x1_0000;
export const vectors = ramStart + 0x8000;
export const results = ramStart + 0x4000;

function word(line: string, pc: number): number {
  if (/^0x[0-9a-f]+$/.test(line)) return Number(line);
  for (const definition of a64()) {
    const found = parseInstruction(definition, line, BigInt(pc));
    if (found !== null) return found;
  }
  invariant(false, `not an instruction: ${line}`);
}

/** Expands `li x1, 0x123456789` to the four instructions that any value needs. */
function expand(line: string): string[] {
  const [, register, text] = /^li (x\d+), (\w+)$/.exec(line) ?? [];
  if (register === undefined || text === undefined) return [line];
  const part = (shift: bigint): string => `#0x${((BigInt(text) >> shift) & 0xffffn).toString(16)}`;
  return [
    `movz ${register}, ${part(0n)}`,
    ...[16n, 32n, 48n].map((shift) => `movk ${register}, ${part(shift)}, lsl #${shift}`),
  ];
}

/** Assembles a program for `address`. `name:` is a label, `{name}` its address, and `li` loads any number. */
export function assemble(text: string, address: number): Uint8Array {
  const lines: string[] = [];
  const labels = new Map<string, number>();
  for (const line of text.split('\n').map((each) => each.trim())) {
    if (line.endsWith(':')) labels.set(line.slice(0, -1), address + 4 * lines.length);
    else if (line !== '') lines.push(...expand(line));
  }
  const words = lines.map((line, i) => {
    const resolved = line.replace(/\{(\w+)\}/g, (_, name: string) => {
      const place = labels.get(name);
      invariant(place !== undefined, `no label ${name}`);
      return `0x${place.toString(16)}`;
    });
    return word(resolved, address + 4 * i);
  });
  return new Uint8Array(Uint32Array.from(words).buffer);
}

/** Powers the guest off: PSCI SYSTEM_OFF. */
export const powerOff = 'li x0, 0x84000008\nhvc #0';

/** Turns translation on with the table at `tables`, for addresses of 39 bits; attribute index 0 is Normal memory. Uses X1 and X2. */
export const translationOn = (tables: number): string => `
  li x1, 0x${tables.toString(16)}
  msr ttbr0_el1, x1
  movz x1, #0xff
  msr mair_el1, x1
  movz x1, #25
  msr tcr_el1, x1
  isb
  mrs x1, sctlr_el1
  movz x2, #1
  orr x1, x1, x2
  msr sctlr_el1, x1
  isb`;

/** Options of a test guest. */
export interface GuestShape {
  readonly vcpus?: number;
  readonly seed?: number;
  readonly config?: Partial<DomainConfig>;
  readonly listener?: Partial<MachineListener>;
}

export interface TestGuest {
  readonly machine: Arm64Machine;
  /** The bytes that the guest sent to its UART. */
  readonly sent: number[];
  /** The 64-bit word at {@link results} + 8 * index. */
  result(index: number): bigint;
  /** Runs the guest to its end and returns the stop reason. Fails after 100 million instructions or 10 s. */
  runToEnd(): string;
}

/** A guest that will start at `program`. Exception handlers can be added at {@link vectors}. */
export function testGuest(program: string, shape: GuestShape = {}): TestGuest {
  const { vcpus = 1, seed = 1, config = {}, listener = {} } = shape;
  const sent: number[] = [];
  const whole: DomainConfig = {
    kind: 'arm',
    release: '4.17',
    domid: 1,
    ram: [{ start: ramStart / 4096, count: ramFrames }],
    xenFrames: { start: 2 ** 28, count: 80 },
    hardwareIds: Array.from({ length: vcpus }, (_, vcpu) => mpidrOfVcpu(xenVcpuId(vcpu))),
    fifo: true,
    softReset: false,
    maxGrantFrames: 64,
    entryVcpu: xenVcpuId(0),
    ...config,
  };
  const machine = arm64Machine(
    { config: whole, seed, entry: BigInt(entry), bootInformation: 0x1234n },
    { uart: (byte) => void sent.push(byte), ...listener },
  );
  machine.load(BigInt(entry), assemble(program, entry));
  const frames = machine.frames;
  return {
    machine,
    sent,
    result: (index) => {
      const frame = frames.readable(results / 4096);
      invariant(frame !== undefined, 'the results have memory');
      return new DataView(frame.buffer, frame.byteOffset).getBigUint64(8 * index, true);
    },
    runToEnd: () => machine.run(100_000_000, 10_000_000_000n),
  };
}

/** Enables interrupts for a vCPU: GICD_CTLR, its CPU interface, and the enable bits of its private interrupts. */
export function enableInterrupts(privateBits: number, vcpu = 0): string {
  const redistributor = 0x302_0000 + vcpu * 0x2_0000;
  return `
    li x9, 0x3001000
    movz w10, #2
    str w10, [x9]
    li x9, 0x${(redistributor + 0x1_0100).toString(16)}
    li x10, 0x${(privateBits >>> 0).toString(16)}
    str w10, [x9]
    movz x10, #0xf0
    msr icc_pmr_el1, x10
    movz x10, #1
    msr icc_igrpen1_el1, x10
  `;
}
