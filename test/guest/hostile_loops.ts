/** Guests in endless loops: each hypercall, each power call, each device, faults, and self-modifying code. */
import { hypercallTable } from '../../src/hypervisor/index.js';
import { a64, assemble } from '../../src/isa/index.js';

export interface HostileLoop {
  readonly name: string;
  /** Assembler text. All registers except X0 are 0 at its start, and it ends in a loop. */
  readonly program: string;
  readonly vcpus?: number;
}

/** Link address of programs. Their addresses are relative to it. */
const headerBytes = 64;
/** A writable page for the arguments of calls. X27 holds its address. */
const prologue = `
  adr x27, 0f
  b 1f
0:
  .space 256
1:`;

const load = (register: string, value: number): string =>
  [0, 16, 32]
    .map((shift) => ({ shift, part: Math.floor(value / 2 ** shift) % 65536 }))
    .filter(({ shift, part }) => shift === 0 || part !== 0)
    .map(({ shift, part }) => `${shift === 0 ? 'movz' : 'movk'} ${register}, #${part}, lsl #${shift}`)
    .join('\n');

const forever = (body: string): string => `2:\n${body}\nb 2b`;

function hypercallLoops(): HostileLoop[] {
  return hypercallTable.flatMap((family) => {
    const operations = family.operations.map(({ name, command }) => ({ name, command }));
    return [...operations, { name: `${family.name} 0xffff`, command: 0xffff }].map(({ name, command }) => ({
      name: `hypercall ${name}`,
      program: forever(`
        ${load('x0', command)}
        mov x1, x27
        mov x2, x27
        movz x3, #1
        ${family.argumentRegister === 0 ? 'mov x0, x27' : ''}
        ${load('x16', family.number)}
        hvc #0xea1`),
    }));
  });
}

/** Calls whose arguments always differ, so that none can be folded. */
function changingLoops(): HostileLoop[] {
  const call = (number: number, before: string): string =>
    forever(`add x20, x20, #1\n${before}\n${load('x16', number)}\nhvc #0xea1`);
  return [
    { name: 'changing: hypercall numbers', program: forever('add x20, x20, #1\nmov x16, x20\nhvc #0xea1') },
    { name: 'changing: vCPU ids', program: call(24, `${load('x0', 3)}\nmov x1, x20\nmov x2, x27`) },
    { name: 'changing: port numbers', program: call(32, 'str w20, [x27]\nmovz x0, #4\nmov x1, x27') },
    { name: 'changing: ports are bound', program: call(32, 'str wzr, [x27]\nmovz x0, #7\nmov x1, x27') },
    {
      name: 'changing: a port is bound and closed',
      program: forever(`str wzr, [x27]\nmovz x0, #7\nmov x1, x27\nmovz x16, #32\nhvc #0xea1
        ldr w4, [x27, #4]\nstr w4, [x27]\nmovz x0, #3\nmov x1, x27\nhvc #0xea1`),
    },
    {
      name: 'changing: lines for the console of Xen',
      program: call(18, 'movz x0, #0\nmovz x1, #200\nmov x2, x27'),
    },
  ];
}

const psci: Readonly<Record<string, number>> = {
  PSCI_VERSION: 0x84000000,
  CPU_SUSPEND: 0xc4000001,
  CPU_ON: 0xc4000003,
  AFFINITY_INFO: 0xc4000004,
  MIGRATE_INFO_TYPE: 0x84000006,
  PSCI_FEATURES: 0x8400000a,
  'unknown function': 0x8400ffff,
};

function powerLoops(): HostileLoop[] {
  const loops = Object.entries(psci).flatMap(([name, id]) =>
    (['hvc', 'smc'] as const).map((instruction) => ({
      name: `${instruction} ${name}`,
      program: forever(`${load('x0', id)}\nmovz x1, #1\nadr x2, 3f\n${instruction} #0\n3:`),
    })),
  );
  const cycle = `adr x22, 3f\n${forever(`${load('x0', 0xc4000003)}\nmovz x1, #1\nmov x2, x22\nhvc #0`)}
    3:\n${load('x0', 0x84000002)}\nhvc #0`;
  return [...loops, { name: 'a vCPU that is started and stops, again and again', program: cycle }];
}

const uart = 0x22000000;
const distributor = 0x3001000;
const redistributor = 0x3020000;

function deviceLoops(): HostileLoop[] {
  const at = (base: number, body: string): string => `${load('x20', base)}\n${forever(body)}`;
  return [
    { name: 'uart: bytes are written', program: at(uart, 'strb w0, [x20]') },
    { name: 'uart: lines are written', program: at(uart, 'movz w1, #10\nstrb w1, [x20]') },
    { name: 'uart: its flags are read', program: at(uart, 'ldr w1, [x20, #24]') },
    { name: 'gic: distributor', program: at(distributor, 'ldr w1, [x20, #4]\nstr w1, [x20, #256]') },
    { name: 'gic: redistributor', program: at(redistributor, 'ldr w1, [x20]\nstr w1, [x20, #20]') },
    { name: 'gic: CPU interface', program: forever('mrs x1, icc_iar1_el1\nmsr icc_eoir1_el1, x1') },
    { name: 'gic: SGIs', program: forever('movz x1, #1\nmsr icc_sgi1r_el1, x1') },
    { name: 'timer: is set', program: forever('movz x1, #5\nmsr cntv_tval_el0, x1\nmsr cntv_ctl_el0, x1') },
    { name: 'timer: is read', program: forever('mrs x1, cntvct_el0') },
    { name: 'nowhere: reads where no device is', program: at(0x10000000, 'ldr w1, [x20]') },
  ];
}

/** Sets VBAR_EL1 to vectors at the next 2 KiB, each of which comes back behind the instruction, or to it. */
export const vectors = (body: string): string => `
  adr x21, 9f
  msr vbar_el1, x21
  b 8f
  .balign 2048
9:
  ${Array.from({ length: 16 }, () => `${body}\n.balign 128`).join('\n')}
8:`;

const skipFault = 'mrs x1, elr_el1\nadd x1, x1, #4\nmsr elr_el1, x1\neret';

function faultLoops(): HostileLoop[] {
  return [
    { name: 'faults: at its own vector', program: 'udf #0' },
    { name: 'faults: undefined instructions', program: `${vectors(skipFault)}\n${forever('udf #0')}` },
    { name: 'faults: again and again', program: `${vectors('eret')}\n${forever('udf #0')}` },
    {
      name: 'faults: loads from nowhere',
      program: `${vectors(skipFault)}\n${forever('movz x3, #4096\nldr x2, [x3]')}`,
    },
    { name: 'faults: supervisor calls', program: `${vectors('eret')}\n${forever('svc #0')}` },
    { name: 'faults: registers of EL2', program: `${vectors(skipFault)}\n${forever('.word 0xd53c1102')}` },
    { name: 'faults: a loop of two', program: `${vectors('b 7f')}\n7:\nudf #0\nb 7b` },
    { name: 'waits: WFE and SEV', program: forever('sev\nwfe') },
    { name: 'waits: yield', program: forever('yield') },
  ];
}

function codeLoops(): HostileLoop[] {
  const routine = 'adr x20, 3f\nb 4f\n3:\nmovz x0, #1\nret\n4:';
  return [
    {
      name: 'code: changes itself',
      program: `${routine}\nldr w21, [x20]\n${forever('str w21, [x20]\nblr x20')}`,
    },
    {
      name: 'code: changes itself, each time otherwise',
      program: `${routine}\nldr w21, [x20]\n${forever('eor w21, w21, #32\nstr w21, [x20]\nblr x20')}`,
    },
    {
      name: 'code: its page is data too',
      program: `${routine}\n${forever('str x21, [x20, #64]\nblr x20')}`,
    },
    { name: 'code: invalidates the TLB', program: forever('tlbi vmalle1\nisb') },
    { name: 'code: invalidates caches', program: forever('ic iallu\ndsb sy\nisb') },
    {
      name: 'code: changes the address space',
      program: forever('add x20, x20, #1, lsl #12\nmsr ttbr0_el1, x20\nisb'),
    },
  ];
}

/** All loops. */
export function hostileLoops(): HostileLoop[] {
  return [
    ...hypercallLoops(),
    ...changingLoops(),
    ...powerLoops(),
    ...deviceLoops(),
    ...faultLoops(),
    ...codeLoops(),
  ];
}

/**
 * The program as an arm64 Image (Linux Documentation/arm64/booting.rst), which starts with a branch over its header.
 */
export function hostileImage(program: string): Uint8Array {
  const text = `b 6f\n.space ${headerBytes - 4}\n6:\n${prologue}\n${program}`;
  const { bytes, memoryBytes } = assemble(a64(), text);
  const image = new Uint8Array(bytes);
  const view = new DataView(image.buffer);
  view.setBigUint64(16, BigInt(Math.max(memoryBytes, 0x1_0000)), true);
  view.setBigUint64(24, 0b1010n, true);
  view.setUint32(56, 0x644d_5241, true);
  return image;
}
