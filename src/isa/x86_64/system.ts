/**
 * System instructions, flag operations and ports (Intel SDM, volume 1, 7.3.13 to 7.3.17; volume 3, 2.8). The host checks
 * privileges, because they depend on more than the instruction.
 */
import type { Expr, FlagSources } from '../micro_ops.js';
import type { Semantics } from '../semantics.js';
import { allSizes } from './arithmetic.js';
import { instruction } from './encoding.js';
import type { Form } from './encoding.js';
import { flagBits, resultSources, setFlagBits } from './flags.js';
import {
  ah,
  changedRm,
  fixed,
  imm,
  memory,
  numbered,
  reg,
  rm,
  widthOf,
  writtenMemory,
  writtenRm,
} from './operands.js';
import type { Memory, Place, Value } from './operands.js';
import type { X86SystemCall } from './system_calls.js';
import { segments, systemFlags, x86State } from './registers.js';
import { stackBits } from './stack.js';

/** An instruction without operands that the host carries out. */
const calling = (name: string, opcode: string, text: string, call: X86SystemCall, more: object = {}) =>
  instruction({ cold: true, ...more, name, opcode, operands: {}, text, semantics: (m) => m.system(call) });

/** An instruction that does nothing here: each access is ordered as the program has it. Its ModRM.rm is ignored. */
const fence = (mnemonic: string, digit: number) =>
  instruction({
    name: mnemonic.toUpperCase(),
    opcode: `NP 0F AE /${digit}`,
    only: 'r',
    operands: {},
    text: mnemonic,
    semantics: () => undefined,
  });

const plainCalls = [
  calling('UD2', '0F 0B', 'ud2', 'undefined'),
  // There is no system-management mode to return from.
  calling('RSM', '0F AA', 'rsm', 'undefined'),
  calling('INT3', 'CC', 'int3', 'breakpoint'),
  calling('INT1', 'F1', 'int1', 'debugTrap'),
  calling('INTO', 'CE', 'into', 'overflowTrap', { modes: [16, 32] }),
  calling('HLT', 'F4', 'hlt', 'halt'),
  calling('CPUID', '0F A2', 'cpuid', 'cpuid'),
  calling('RDMSR', '0F 32', 'rdmsr', 'readModelSpecific'),
  calling('WRMSR', '0F 30', 'wrmsr', 'writeModelSpecific'),
  calling('RDPMC', '0F 33', 'rdpmc', 'readPerformanceCounter'),
  calling('SYSCALL', '0F 05', 'syscall', 'syscall'),
  calling('SWAPGS', '0F 01 F8', 'swapgs', 'swapGs', { modes: [64] }),
  calling('INVD', '0F 08', 'invd', 'invalidateCaches'),
  // F3 makes WBNOINVD of it, which is WBINVD to a CPU that does not advertise it (AMD APM volume 3, WBNOINVD).
  calling('WBINVD', '0F 09', 'wbinvd', 'invalidateCaches'),
  calling('CLTS', '0F 06', 'clts', 'clearTaskSwitched'),
  calling('VMCALL', 'NP 0F 01 C1', 'vmcall', 'hypervisorCall'),
  calling('VMMCALL', 'NP 0F 01 D9', 'vmmcall', 'hypervisorCallAmd'),
  calling('EMMS', 'NP 0F 77', 'emms', 'leaveMmx', { feature: 'mmx' }),
  calling('CLAC', 'NP 0F 01 CA', 'clac', 'closeUserPages', { feature: 'smap' }),
  calling('STAC', 'NP 0F 01 CB', 'stac', 'openUserPages', { feature: 'smap' }),
  calling('XGETBV', 'NP 0F 01 D0', 'xgetbv', 'readExtendedControl', { feature: 'xsave' }),
  calling('XSETBV', 'NP 0F 01 D1', 'xsetbv', 'writeExtendedControl', { feature: 'xsave' }),
  fence('lfence', 5),
  fence('mfence', 6),
  fence('sfence', 7),
].flat(); // prettier-ignore

/** UD0 and UD1 have operands that they do not read. */
const undefinedOnes = ([['UD1', 'B9'], ['UD0', 'FF']] as const).flatMap(([name, byte]) =>
  instruction({ name: `${name}_r_rm`, opcode: `0F ${byte} /r`, sizes: allSizes, cold: true, operands: { d: reg(), s: rm() }, text: `${name.toLowerCase()} {s},{d}`, semantics: (m) => m.system('undefined') }),
); // prettier-ignore

const operandSize = (m: Semantics, { bits }: Form) => m.constant(64, bits);

const sysret = [
  instruction({ name: 'SYSRET', opcode: '0F 07', sizes: [32, 64], otherSizes: 32, modes: [64], cold: true, operands: {}, text: 'sysret{W}', semantics: (m, _, form) => m.system('sysret', [operandSize(m, form)]) }),
  instruction({ name: 'SYSRET_legacy', opcode: '0F 07', modes: [16, 32], cold: true, operands: {}, text: 'sysret', semantics: (m) => m.system('sysret', [m.constant(64, 32)]) }),
].flat(); // prettier-ignore

/** The time-stamp counter in two halves. */
function readTimestamp(m: Semantics, a: Place, d: Place): void {
  const give = (value: Expr): void => {
    a.set(m.resize(32, value));
    d.set(m.resize(32, m.shiftBy('shrUnsigned', value, 32)));
  };
  const rate = m.state(x86State.timestampRate);
  m.when(
    m.isZero(rate),
    () => give(m.ask('readTimestamp', [])),
    () => {
      const part = m.add(m.state(x86State.timestampPart), m.mul(m.executed(), rate));
      give(m.let(m.add(m.state(x86State.timestampTicks), m.divide(false, part, m.constant(64, 1_000_000)))));
    },
  );
}

const timestamps = [
  instruction({
    name: 'RDTSC', opcode: '0F 31', operands: { a: fixed('rax', 32), d: fixed('rdx', 32) }, text: 'rdtsc', feature: 'tsc',
    semantics: (m, { a, d }) => readTimestamp(m, a, d),
  }),
  instruction({
    name: 'RDTSCP', opcode: '0F 01 F9', cold: true, operands: { a: fixed('rax', 32), d: fixed('rdx', 32), c: fixed('rcx', 32) }, text: 'rdtscp', feature: 'rdtscp',
    semantics: (m, { a, d, c }) => {
      const auxiliary = m.ask('readTimestampAux', []);
      readTimestamp(m, a, d);
      c.set(m.resize(32, auxiliary));
    },
  }),
].flat(); // prettier-ignore

const interrupt = instruction({ name: 'INT_imm8', opcode: 'CD ib', cold: true, operands: { vector: imm(8) }, text: 'int {vector}', semantics: (m, { vector }) => m.system('interrupt', [m.resize(64, vector.get())]) }); // prettier-ignore

/** Flags that need no privilege. */
const flags = [
  instruction({ name: 'CLC', opcode: 'F8', operands: {}, text: 'clc', semantics: (m) => m.setFlags({ c: m.constant(32, 0) }) }),
  instruction({ name: 'STC', opcode: 'F9', operands: {}, text: 'stc', semantics: (m) => m.setFlags({ c: m.constant(32, 1) }) }),
  instruction({ name: 'CMC', opcode: 'F5', operands: {}, text: 'cmc', semantics: (m) => m.setFlags({ c: m.negate(m.flag('c')) }) }),
  instruction({ name: 'CLD', opcode: 'FC', operands: {}, text: 'cld', semantics: (m) => m.setState(x86State.flags, m.and(m.state(x86State.flags), m.constant(64, ~systemFlags.direction))) }),
  instruction({ name: 'STD', opcode: 'FD', operands: {}, text: 'std', semantics: (m) => m.setState(x86State.flags, m.or(m.state(x86State.flags), m.constant(64, systemFlags.direction))) }),
  // In 64-bit code they belong to a feature of its own.
  ...([['', { modes: [16, 32] }], ['_64', { modes: [64], feature: 'lahf_lm' }]] as const).flatMap(([suffix, more]) => [
    instruction({ ...more, name: `LAHF${suffix}`, opcode: '9F', cold: true, operands: { d: ah }, text: 'lahf', semantics: (m, { d }) => d.set(m.or(flagBits(m, lowFlags), m.constant(32, 2))) }),
    instruction({ ...more, name: `SAHF${suffix}`, opcode: '9E', cold: true, operands: { s: ah }, text: 'sahf', semantics: (m, { s }) => setFlagBits(m, lowFlags, s.get()) }),
  ]),
  // At CPL 0 only bit IF changes. Setting it delays interrupts by an instruction, and one that waits is taken before IF is cleared: the
  // host sees to both.
  instruction({
    name: 'CLI', opcode: 'FA', operands: {}, text: 'cli',
    semantics: (m) => m.when(
      m.isZero(m.or(m.state(x86State.privilege), m.state(x86State.pendingInterrupt))),
      () => m.setState(x86State.flags, m.and(m.state(x86State.flags), m.constant(64, ~systemFlags.interrupt))),
      () => m.system('clearInterrupt'),
    ),
  }),
  instruction({
    name: 'STI', opcode: 'FB', operands: {}, text: 'sti',
    semantics: (m) => m.when(
      m.isZero(m.or(m.state(x86State.privilege), m.state(x86State.pendingInterrupt))),
      () => m.setState(x86State.flags, m.or(m.state(x86State.flags), m.constant(64, systemFlags.interrupt))),
      () => m.system('setInterrupt'),
    ),
  }),
].flat(); // prettier-ignore

const lowFlags = ['c', 'p', 'a', 'z', 's'] as const;

/** Ports: IN and OUT, by an immediate or DX. REX.W has no effect. */
const ports = ([8, null] as const).flatMap((size, wide) => {
  const sizes = size === null ? { sizes: [16, 32] as const, otherSizes: 32 as const } : {};
  const [names, opcode] = [size === null ? 'rax' : 'al', (from: number): string => (from + wide).toString(16).toUpperCase()];
  const read = (m: Semantics, a: Place, port: Value): void =>
    a.set(m.resize(32, m.ask('in', [m.resize(64, port.get()), m.constant(64, a.bits / 8)])));
  const write = (m: Semantics, a: Place, port: Value): void => {
    const where = m.or(m.resize(64, port.get()), m.constant(64, (a.bits / 8) * 0x10000));
    m.system('out', [where, m.resize(64, a.get())]);
  };
  const common = { ...sizes, cold: true };
  const byImmediate = { a: fixed('rax', size), port: imm(8) };
  const byDx = { a: fixed('rax', size), port: fixed('rdx', 16) };
  return [
    instruction({ ...common, name: `IN_${names}_imm8`, opcode: `${opcode(0xe4)} ib`, operands: byImmediate, text: 'in {port},{a}', semantics: (m, { a, port }) => read(m, a, port) }),
    instruction({ ...common, name: `OUT_imm8_${names}`, opcode: `${opcode(0xe6)} ib`, operands: byImmediate, text: 'out {a},{port}', semantics: (m, { a, port }) => write(m, a, port) }),
    instruction({ ...common, name: `IN_${names}_dx`, opcode: opcode(0xec), operands: byDx, text: 'in (%dx),{a}', semantics: (m, { a, port }) => read(m, a, port) }),
    instruction({ ...common, name: `OUT_dx_${names}`, opcode: opcode(0xee), operands: byDx, text: 'out {a},(%dx)', semantics: (m, { a, port }) => write(m, a, port) }),
  ].flat();
}); // prettier-ignore

const controls = numbered((number) => `cr${number}`);
const debugs = numbered((number) => `db${number}`);
const isControl = ({ reg: number }: { reg: number }): boolean => [0, 2, 3, 4, 8].includes(number);
const isDebug = ({ reg: number }: { reg: number }): boolean => number < 8;

/** MOV to and from control and debug registers: 64 bits in 64-bit code, else 32, whatever the prefixes. */
const controlMoves = ([[64, [64]], [32, [16, 32]]] as const).flatMap(([size, modes]) => {
  const suffix = `_r${size}`;
  const common = { modes, only: 'r', cold: true } as const;
  const read = (call: X86SystemCall) => (m: Semantics, { d, s }: { d: Place; s: Value }) => d.set(m.resize(widthOf(size), m.ask(call, [s.get()])));
  const write = (call: X86SystemCall) => (m: Semantics, { d, s }: { d: Value; s: Value }) => m.system(call, [d.get(), m.resize(64, s.get())]);
  return [
    instruction({ ...common, name: `MOV${suffix}_cr`, opcode: '0F 20 /r', allocated: isControl, operands: { d: writtenRm(size), s: controls }, text: 'mov {s},{d}', semantics: read('readControl') }),
    instruction({ ...common, name: `MOV${suffix}_dr`, opcode: '0F 21 /r', allocated: isDebug, operands: { d: writtenRm(size), s: debugs }, text: 'mov {s},{d}', semantics: read('readDebug') }),
    instruction({ ...common, name: `MOV_cr${suffix}`, opcode: '0F 22 /r', allocated: isControl, operands: { d: controls, s: rm(size) }, text: 'mov {s},{d}', semantics: write('writeControl') }),
    instruction({ ...common, name: `MOV_dr${suffix}`, opcode: '0F 23 /r', allocated: isDebug, operands: { d: debugs, s: rm(size) }, text: 'mov {s},{d}', semantics: write('writeDebug') }),
  ].flat();
}); // prettier-ignore

/** The tables' limit and base: 10 bytes in 64-bit code, else 6, of which an operand size of 16 bits takes 3 of the base. */
const tables = (['gdt', 'idt'] as const).flatMap((table, index) => {
  const name = table.toUpperCase();
  const [load, limit, base] = index === 0
    ? (['loadGlobalTable', 'globalTableLimit', 'globalTableBase'] as const)
    : (['loadInterruptTable', 'interruptTableLimit', 'interruptTableBase'] as const);
  const storeAt = (m: Semantics, d: Memory, baseBytes: 4 | 8): void => {
    const at = d.linear(2 + baseBytes);
    m.store(2, at, m.ask(limit, []));
    m.store(baseBytes, m.add(at, m.constant(64, 2)), m.ask(base, []));
  };
  const loadFrom = (m: Semantics, s: Memory, baseBytes: 4 | 8, mask: bigint): void => {
    m.system('requireKernel');
    const at = s.linear(2 + baseBytes);
    const size = m.load(2, at);
    const address = m.let(m.and(m.load(baseBytes, m.add(at, m.constant(64, 2))), m.constant(64, mask)));
    m.system(load, [size, address]);
  };
  const wide = { modes: [64], only: 'm', cold: true } as const;
  const narrow = { modes: [16, 32], sizes: [16, 32], only: 'm', cold: true } as const;
  const all = (form: Form): bigint => (form.bits === 16 ? 0xffffffn : 0xffffffffn);
  return [
    instruction({ ...wide, name: `S${name}_m80`, opcode: `0F 01 /${index}`, operands: { d: writtenMemory(64) }, text: `s${table} {d}`, semantics: (m, { d }) => storeAt(m, d, 8) }),
    instruction({ ...wide, name: `L${name}_m80`, opcode: `0F 01 /${index + 2}`, operands: { s: memory(64) }, text: `l${table} {s}`, semantics: (m, { s }) => loadFrom(m, s, 8, -1n) }),
    instruction({ ...narrow, name: `S${name}_m48`, opcode: `0F 01 /${index}`, operands: { d: writtenMemory() }, text: `s${table}{W} {d}`, semantics: (m, { d }) => storeAt(m, d, 4) }),
    instruction({ ...narrow, name: `L${name}_m48`, opcode: `0F 01 /${index + 2}`, operands: { s: memory() }, text: `l${table}{W} {s}`, semantics: (m, { s }, form) => loadFrom(m, s, 4, all(form)) }),
  ].flat();
}); // prettier-ignore

/** Selectors of LDT and task, and the machine status: a register gets the operand size, memory 16 bits. */
const selectors = ([
  ['sldt', '0F 00 /0', 'localTableSelector'], ['str', '0F 00 /1', 'taskSelector'], ['smsw', '0F 01 /4', 'machineStatus'],
] as const).flatMap(([mnemonic, opcode, call]) => {
  const name = mnemonic.toUpperCase();
  return [
    instruction({ name: `${name}_r`, opcode, sizes: allSizes, only: 'r', cold: true, operands: { d: writtenRm() }, text: `${mnemonic} {d}`, semantics: (m, { d }) => d.set(m.resize(widthOf(d.bits), m.ask(call, []))) }),
    instruction({ name: `${name}_m16`, opcode, only: 'm', cold: true, operands: { d: writtenMemory(16) }, text: `${mnemonic} {d}`, semantics: (m, { d }) => d.set(m.resize(32, m.ask(call, []))) }),
  ].flat();
}); // prettier-ignore

const selectorLoads = ([
  ['lldt', '0F 00 /2', 'loadLocalTable'], ['ltr', '0F 00 /3', 'loadTask'], ['lmsw', '0F 01 /6', 'loadMachineStatus'],
] as const).flatMap(([mnemonic, opcode, call]) =>
  instruction({ name: `${mnemonic.toUpperCase()}_rm16`, opcode, cold: true, operands: { s: withoutWord(rm(16)) }, text: `${mnemonic} {s}`, semantics: (m, { s }) => {
    m.system('requireKernel');
    m.system(call, [m.resize(64, s.get())]);
  } }),
); // prettier-ignore

const verifications = ([['verr', 4, 'canRead'], ['verw', 5, 'canWrite']] as const).flatMap(([mnemonic, digit, call]) =>
  instruction({
    name: `${mnemonic.toUpperCase()}_rm16`, opcode: `0F 00 /${digit}`, cold: true, operands: { s: withoutWord(rm(16)) }, text: `${mnemonic} {s}`,
    semantics: (m, { s }) => m.setFlags({ z: m.xor(m.ask(call, [m.resize(64, s.get())]), m.constant(64, 1)) }),
  }),
); // prettier-ignore

/** LAR and LSL write their register only if there is something to tell. */
const inspections = ([['lar', '02', 'accessRights'], ['lsl', '03', 'segmentLimit']] as const).flatMap(([mnemonic, byte, call]) =>
  (['r', 'm'] as const).flatMap((only) =>
    instruction({
      name: `${mnemonic.toUpperCase()}_r_${only}`, opcode: `0F ${byte} /r`, sizes: allSizes, only, cold: true,
      operands: { d: reg(), s: only === 'r' ? rm() : rm(16) }, text: `${mnemonic} {s},{d}`,
      semantics: (m, { d, s }) => {
        const found = m.ask(call, [m.and(m.resize(64, s.get()), m.constant(64, 0xffff))]);
        const none = m.let(m.equal(found, m.constant(64, -1)));
        m.when(m.negate(none), () => d.set(m.resize(widthOf(d.bits), found)));
        m.setFlags({ z: m.resize(64, none) });
      },
    }),
  ),
); // prettier-ignore

const invlpg = instruction({ name: 'INVLPG_m', opcode: '0F 01 /7', only: 'm', cold: true, operands: { s: memory(8) }, text: 'invlpg {s}', semantics: (m, { s }) => m.system('invalidatePage', [s.linear(0)]) }); // prettier-ignore

/** The operand is 16 bytes: the number of a context, and an address. */
const invpcid = ([[64, [64]], [32, [16, 32]]] as const).flatMap(([size, modes]) =>
  instruction({
    name: `INVPCID_r${size}_m128`, opcode: '66 0F 38 82 /r', modes, only: 'm', cold: true, feature: 'invpcid', operands: { kind: reg(size), s: memory(64) }, text: 'invpcid {s},{kind}',
    semantics: (m, { kind, s }) => {
      m.system('requireKernel');
      const at = s.linear(16);
      const which = m.let(m.resize(64, kind.get()));
      const context = m.load(8, at);
      const address = m.load(8, m.let(m.add(at, m.constant(64, 8))));
      m.system('requireInvalidation', [which, context]);
      m.system('invalidateContext', [which, address]);
    },
  }),
); // prettier-ignore

/** The bases of FS and GS: 32 bits are zero-extended. */
const segmentBases = (['fs', 'gs'] as const).flatMap((name, index) => {
  const common = { modes: [64], sizes: [32, 64], otherSizes: 32, only: 'r', cold: true, feature: 'fsgsbase' } as const;
  const upper = `${name.toUpperCase()}BASE`;
  return [
    instruction({ ...common, name: `RD${upper}_r`, opcode: `F3 0F AE /${index}`, operands: { d: writtenRm() }, text: `rd${name}base {d}`, semantics: (m, { d }) => d.set(m.resize(widthOf(d.bits), m.ask('readSegmentBase', [m.constant(64, segments[name])]))) }),
    instruction({ ...common, name: `WR${upper}_r`, opcode: `F3 0F AE /${index + 2}`, operands: { s: rm() }, text: `wr${name}base {s}`, semantics: (m, { s }) => m.system('writeSegmentBase', [m.constant(64, segments[name]), m.resize(64, s.get())]) }),
  ].flat();
}); // prettier-ignore

/** Components of state, by EDX:EAX and XCR0: 512 bytes as of FXSAVE, and a header of 64. */
const extendedState = ([['xsave', 4, 0], ['xrstor', 5, null], ['xsaveopt', 6, 256]] as const).flatMap(([mnemonic, digit, how]) =>
  instruction({
    name: `${mnemonic.toUpperCase()}_m576`, opcode: `NP 0F AE /${digit}`, sizes: [32, 64], otherSizes: 32, only: 'm', cold: true, feature: mnemonic === 'xsaveopt' ? 'xsave+xsaveopt' : 'xsave',
    operands: { d: how === null ? memory(8) : writtenMemory(8) }, text: `${mnemonic}{64} {d}`,
    semantics: (m, { d }, form) => {
      m.system('requireExtendedState');
      if (how === null) m.system('restoreExtended', [operandSize(m, form), d.linear(576)]);
      else m.system('saveExtended', [m.or(operandSize(m, form), m.constant(64, how)), d.linear(576)]);
    },
  }),
); // prettier-ignore

/** The state of x87 and SSE as a whole, and MXCSR. */
const floatState = [
  ...(['save', 'rstor'] as const).map((verb, digit) =>
    instruction({
      name: `FX${verb.toUpperCase()}_m512`, opcode: `NP 0F AE /${digit}`, sizes: [32, 64], otherSizes: 32, only: 'm', cold: true, feature: 'fxsr',
      operands: { d: digit === 0 ? writtenMemory(8) : memory(8) }, text: `fx${verb}{64} {d}`,
      semantics: (m, { d }, form) => m.system(digit === 0 ? 'saveFloat' : 'restoreFloat', [operandSize(m, form), d.linear(512)]),
    }),
  ),
  instruction({ name: 'LDMXCSR_m32', opcode: 'NP 0F AE /2', only: 'm', cold: true, vector: true, feature: 'sse', operands: { s: memory(32) }, text: 'ldmxcsr {s}', semantics: (m, { s }) => m.system('writeMxcsr', [m.resize(64, s.get())]) }),
  instruction({ name: 'STMXCSR_m32', opcode: 'NP 0F AE /3', only: 'm', cold: true, vector: true, feature: 'sse', operands: { d: writtenMemory(32) }, text: 'stmxcsr {d}', semantics: (m, { d }) => d.set(m.resize(32, m.ask('readMxcsr', []))) }),
].flat(); // prettier-ignore

/** Loads of far pointers: LES, LDS, LSS, LFS, LGS. */
const farLoads = ([
  ['es', 'C4', [16, 32], [16, 32]], ['ds', 'C5', [16, 32], [16, 32]],
  ['ss', '0F B2', [16, 32, 64], allSizes], ['fs', '0F B4', [16, 32, 64], allSizes], ['gs', '0F B5', [16, 32, 64], allSizes],
] as const).flatMap(([name, opcode, modes, sizes]) =>
  instruction({
    name: `L${name.toUpperCase()}_r_m`, opcode: `${opcode} /r`, modes, sizes, only: 'm', cold: true,
    operands: { d: reg(), s: memory() }, text: `l${name} {s},{d}`,
    semantics: (m, { d, s }, form) => {
      const bits = stackBits(form);
      const at = s.linear(bits / 8 + 2);
      const offset = m.load((bits / 8) as 2 | 4 | 8, at);
      const selector = m.load(2, m.add(at, m.constant(64, bits / 8)));
      // It loads the pointer too, so nothing has to wait for the next instruction.
      m.system('loadSegment', [m.constant(64, segments[name] + 8), selector]);
      d.set(m.resize(widthOf(bits), offset));
    },
  }),
); // prettier-ignore

/** SF, ZF and PF of a byte, with the other flags that are given. */
function setByteFlags(m: Semantics, byte: Expr, others: FlagSources): void {
  m.setFlags({ ...resultSources(m, 8, byte), ...others });
}

/** AF as the source of its flag. */
const asAdjust = (m: Semantics, truth: Expr): Expr => m.shiftBy('shl', truth, 4);

/** Adjustments of packed decimals: DAA adds to each digit that is above 9 or gave a carry, DAS subtracts. */
const packedDecimal = ([['daa', '27', 1], ['das', '2F', -1]] as const).flatMap(([mnemonic, opcode, sign]) =>
  instruction({
    name: mnemonic.toUpperCase(), opcode, modes: [16, 32], cold: true, undefinedFlags: 'o', operands: { d: fixed('rax', 8) }, text: mnemonic,
    semantics: (m, { d }) => {
      const al = d.get();
      const low = m.let(m.or(m.less(false, m.constant(32, 9), m.and(al, m.constant(32, 15))), m.flag('a')));
      const high = m.let(m.or(m.less(false, m.constant(32, 0x99), al), m.flag('c')));
      const by = m.add(m.mul(low, m.constant(32, 6)), m.mul(high, m.constant(32, 0x60)));
      const sum = m.let(m.and(sign > 0 ? m.add(al, by) : m.sub(al, by), m.constant(32, 0xff)));
      const borrows = sign > 0 ? high : m.or(high, m.and(low, m.less(false, al, m.constant(32, 6))));
      const carry = m.let(borrows);
      d.set(sum);
      setByteFlags(m, sum, { c: carry, a: asAdjust(m, low) });
    },
  }),
); // prettier-ignore

/** Adjustments of unpacked decimals after an addition or subtraction. */
const unpackedDecimal = ([['aaa', '37', 1], ['aas', '3F', -1]] as const).flatMap(([mnemonic, opcode, sign]) =>
  instruction({
    name: mnemonic.toUpperCase(), opcode, modes: [16, 32], cold: true, undefinedFlags: 'opsz', operands: { d: fixed('rax', 16) }, text: mnemonic,
    semantics: (m, { d }) => {
      const ax = d.get();
      const isBeyond = m.let(m.or(m.less(false, m.constant(32, 9), m.and(ax, m.constant(32, 15))), m.flag('a')));
      const by = m.mul(isBeyond, m.constant(32, 0x106));
      d.set(m.and(sign > 0 ? m.add(ax, by) : m.sub(ax, by), m.constant(32, 0xff0f)));
      m.setFlags({ c: isBeyond, a: asAdjust(m, isBeyond) });
    },
  }),
); // prettier-ignore

/** Adjustments after a multiplication and before a division, in any base. */
const baseAdjustments = [
  instruction({
    name: 'AAM', opcode: 'D4 ib', modes: [16, 32], cold: true, undefinedFlags: 'oac', operands: { d: fixed('rax', 16), base: imm(8) }, text: 'aam {base}',
    semantics: (m, { d, base }) => {
      const al = m.let(m.and(d.get(), m.constant(32, 0xff)));
      m.when(m.isZero(base.get()), () => m.system('divideError'));
      const quotient = m.let(m.divide(false, al, base.get()));
      const rest = m.let(m.sub(al, m.mul(quotient, base.get())));
      d.set(m.or(m.shiftBy('shl', quotient, 8), rest));
      setByteFlags(m, rest, {});
    },
  }),
  instruction({
    name: 'AAD', opcode: 'D5 ib', modes: [16, 32], cold: true, undefinedFlags: 'oac', operands: { d: fixed('rax', 16), base: imm(8) }, text: 'aad {base}',
    semantics: (m, { d, base }) => {
      const ax = d.get();
      const sum = m.let(m.and(m.add(ax, m.mul(m.shiftBy('shrUnsigned', ax, 8), base.get())), m.constant(32, 0xff)));
      d.set(sum);
      setByteFlags(m, sum, {});
    },
  }),
].flat(); // prettier-ignore

const decimal = [...packedDecimal, ...unpackedDecimal, ...baseAdjustments];

/** What 64-bit code does not have: BOUND, ARPL, and decimal adjustments. */
const legacy = [
  instruction({
    name: 'BOUND_r_m', opcode: '62 /r', modes: [16, 32], sizes: [16, 32], only: 'm', cold: true, operands: { d: reg(), s: memory() }, text: 'bound {d},{s}',
    semantics: (m, { d, s }, form) => {
      const bits = form.bits === 16 ? 16 : 32;
      const at = s.linear(bits / 4);
      const bound = (offset: number) => m.let(m.signExtend(m.load((bits / 8) as 2 | 4, m.add(at, m.constant(64, offset))), bits));
      const [index, low, high] = [m.let(m.signExtend(m.resize(64, d.get()), bits)), bound(0), bound(bits / 8)];
      m.when(m.or(m.less(true, index, low), m.less(true, high, index)), () => m.system('boundRange'));
    },
  }),
  instruction({
    name: 'ARPL_rm16_r16', opcode: '63 /r', modes: [16, 32], cold: true, operands: { d: changedRm(16), s: reg(16) }, text: 'arpl {s},{d}',
    semantics: (m, { d, s }) => {
      const [own, other] = [d.get(), m.let(m.and(s.get(), m.constant(32, 3)))];
      const isLess = m.let(m.less(false, m.and(own, m.constant(32, 3)), other));
      m.when(isLess, () => d.set(m.or(m.and(own, m.constant(32, 0xfffc)), other)));
      m.setFlags({ z: m.resize(64, m.negate(isLess)) });
    },
  }),
  ...decimal,
].flat(); // prettier-ignore

/** r/m of 16 bits whose size the mnemonic implies. */
function withoutWord<R>(spec: R): R {
  return { ...spec, suffix: () => '' };
}

export const systemInstructions = [
  ...plainCalls,
  ...undefinedOnes,
  ...sysret,
  ...timestamps,
  ...interrupt,
  ...flags,
  ...ports,
  ...controlMoves,
  ...tables,
  ...selectors,
  ...selectorLoads,
  ...verifications,
  ...inspections,
  ...invlpg,
  ...invpcid,
  ...segmentBases,
  ...floatState,
  ...extendedState,
  ...farLoads,
  ...legacy,
];
