/** Small PVH and HVM guests for the board's tests: assembler programs in a machine of 1 MiB, in 64-bit mode. */
import { invariant } from '../../base/index.js';
import type { DomainConfig } from '../../hypervisor/index.js';
import { apicIdOfVcpu, xenVcpuId } from '../../identity/index.js';
import { assemble, x86 } from '../../isa/x86_64/index.js';
import type { CpuModel, MachineListener } from '../board.js';
import { x86Machine } from './board.js';
import type { X86Machine } from './board.js';

/** The guests' memory starts at 0; its size is 1 MiB. */
const ramFrames = 256;
/** Address of the entry point, of the results that a test reads, and of what EBX points to. */
export const entry = 0x1_0000;
export const results = 0x4000;
const bootInformation = 0x7000n;
/** Where a vCPU that SIPI starts is sent: its page's number is the vector. */
export const startupPage = 0x8000;

const tables = { root: 0x2_0000, directory: 0x2_1000 } as const;
const globalTable = 0x3000;
/** 256 gates of 16 bytes. */
const interruptTable = 0x5000;
/** Selectors: 64-bit code, data, and 32-bit code. */
const descriptors = [0n, 0x00af_9b00_0000_ffffn, 0x00cf_9300_0000_ffffn, 0x00cf_9b00_0000_ffffn] as const;

const hex = (value: number): string => `0x${value.toString(16)}`;

/** Goes from 32-bit code without paging to 64-bit code, which follows, with the address space mapped to itself up to 4 GiB. */
export function toLongMode(label: string): string {
  return `
    .code32
    mov $0x2f80, %eax
    lgdtl (%eax)
    lidtl 0x10(%eax)
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $0x20, %eax
    mov %eax, %cr4
    mov $${hex(tables.root)}, %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx
    rdmsr
    bts $0x8, %eax
    wrmsr
    mov $0x80000011, %eax
    mov %eax, %cr0
    mov $0x9f000, %esp
    push $0x8
    mov $${label}, %eax
    push %eax
    lret
    .code64
  ${label}:
  `;
}

/** The code of a startup page, from real mode to a label's address in 64-bit mode. */
export function startupCode(target: number): Uint8Array {
  const real = [
    // cs lgdt 0x1e0, with a 32-bit base; mov %cr0, %eax; or $1, %al; mov %eax, %cr0; and a far jump to 32-bit code.
    0x66, 0x2e, 0x0f, 0x01, 0x16, 0xe0, 0x01,
    0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0,
    0x66, 0xea, 0x40, 0x80, 0x00, 0x00, 0x18, 0x00,
  ]; // prettier-ignore
  const text = `${toLongMode('secondary')}\nmov $${hex(target)}, %eax\njmp *%rax`;
  const bytes = new Uint8Array(0x200);
  bytes.set(real);
  bytes.set(assemble(x86, text, startupPage + 0x40, 32).bytes, 0x40);
  bytes.set([0x1f, 0, globalTable & 0xff, globalTable >> 8], 0x1e0);
  return bytes;
}

/** Where an HVM guest's boot protocol has its descriptors: 64-bit code at 0x8 and 0x10, and data at 0x18. */
const bootTable = 0x2e00;
const bootDescriptors = [0n, descriptors[1], descriptors[1], descriptors[2]] as const;
const bootStart = `
  .code64
  mov $0x9f000, %esp
  mov $0x2f90, %eax
  lidt (%rax)
`;

/** Options of a test guest. */
export interface GuestShape {
  readonly vcpus?: number;
  readonly seed?: number;
  readonly config?: Partial<DomainConfig>;
  readonly listener?: Partial<MachineListener>;
  /** Handlers of vectors: labels of the program. */
  readonly gates?: Readonly<Record<number, string>>;
  /** The label at which a vCPU that SIPI starts goes on in 64-bit mode. */
  readonly secondary?: string;
  /** Whether the program is entered as it is, in 32-bit mode. */
  readonly raw?: boolean;
  /** Whether it is an HVM guest that is entered in 64-bit mode, as a boot loader does. */
  readonly hvm?: boolean;
  /** The model of its CPUs (default: `minimal`). */
  readonly cpu?: CpuModel;
}

export interface TestGuest {
  readonly machine: X86Machine;
  /** The address of a label of the program. */
  address(label: string): number;
  /** The 64-bit word at {@link results} + 8 * index. */
  result(index: number): bigint;
  /** Runs the guest to its end and returns the stop reason. Fails after 100 million instructions or 10 s. */
  runToEnd(): string;
}

/** Shuts the domain down with reason poweroff, from 64-bit code. */
export const powerOff = `
  movq $0x0, 0x6000
  mov $29, %eax
  mov $2, %edi
  mov $0x6000, %esi
  vmmcall
  hlt
`;

const longMode = {
  pageTable: BigInt(tables.root),
  descriptorTable: { base: BigInt(bootTable), limit: 0x1f },
} as const;

function gate(handler: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(16));
  view.setUint16(0, handler & 0xffff, true);
  view.setUint16(2, 8, true);
  view.setUint16(4, 0x8e00, true);
  view.setUint16(6, handler >>> 16, true);
  return new Uint8Array(view.buffer);
}

function words(...values: readonly bigint[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(values).buffer);
}

/** A table register's image: limit and 32-bit base. */
function image(limit: number, base: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(6));
  view.setUint16(0, limit, true);
  view.setUint32(2, base, true);
  return new Uint8Array(view.buffer);
}

const cpuOf = ({ cpu }: GuestShape): Pick<GuestShape, 'cpu'> => (cpu === undefined ? {} : { cpu });

/** A guest that will run `program`: 64-bit code unless `raw`. */
export function testGuest(program: string, shape: GuestShape = {}): TestGuest {
  const { vcpus = 1, seed = 1, config = {}, listener = {}, gates = {}, raw = false, hvm = false } = shape;
  const whole: DomainConfig = {
    kind: hvm ? 'pvhvm' : 'pvh',
    release: '4.17',
    domid: 1,
    ram: [{ start: 0, count: ramFrames }],
    xenFrames: { start: 2 ** 28, count: 80 },
    hardwareIds: Array.from({ length: vcpus }, (_, vcpu) => apicIdOfVcpu(xenVcpuId(vcpu))),
    fifo: true,
    softReset: false,
    maxGrantFrames: 64,
    entryVcpu: xenVcpuId(0),
    ...config,
  };
  const machine = x86Machine(
    {
      config: whole,
      seed,
      entry: BigInt(entry),
      bootInformation,
      ...cpuOf(shape),
      ...(hvm ? { longMode } : {}),
    },
    { uart: () => invariant(false, 'there is no UART'), ...listener },
  );
  const start = hvm ? bootStart : toLongMode('start64');
  const text = raw ? program : `${start}\n${program}`;
  const { bytes, symbols } = assemble(x86, text, entry, 32);
  const address = (label: string): number => {
    const found = symbols.get(label);
    invariant(found !== undefined, `no label ${label}`);
    return found;
  };
  machine.load(BigInt(entry), bytes);
  machine.load(BigInt(globalTable), words(...descriptors));
  machine.load(BigInt(bootTable), words(...bootDescriptors));
  machine.load(0x2f80n, image(0x1f, globalTable));
  machine.load(0x2f90n, image(0xfff, interruptTable));
  machine.load(BigInt(tables.root), words(BigInt(tables.directory) | 7n));
  machine.load(BigInt(tables.directory), words(...[0n, 1n, 2n, 3n].map((at) => (at << 30n) | 0x87n)));
  for (const [vector, label] of Object.entries(gates)) {
    machine.load(BigInt(interruptTable + 16 * Number(vector)), gate(address(label)));
  }
  if (shape.secondary !== undefined) {
    machine.load(BigInt(startupPage), startupCode(address(shape.secondary)));
  }
  return {
    machine,
    address,
    result: (index) => {
      const frame = machine.frames.readable(results / 4096);
      invariant(frame !== undefined, 'the results have memory');
      return new DataView(frame.buffer, frame.byteOffset).getBigUint64(8 * index, true);
    },
    runToEnd: () => machine.run(100_000_000, 10_000_000_000n),
  };
}
