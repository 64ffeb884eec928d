/**
 * Random programs for the compiler's tests: loops, calls and accesses in eight pages of code under translation. The programs modify
 * themselves, the pages are exchanged, exceptions and interrupts are taken, and the machine writes to code and to translation tables.
 */
import { a64, extractFields, flowOf, insertFields, modes } from '../../isa/index.js';
import type { A64Instruction } from '../../isa/index.js';
import { mentionsOf } from '../mentions.js';
import type { EngineOptions } from '../processor.js';
import { numbers } from '../test_numbers.js';
import { assemble, deviceAddress, testMachine, vcpuOf } from './test_machine.js';
import type { TestMachine } from './test_machine.js';

const codePages = 8;
const codeEnd = codePages * 0x1000;
const vectorTable = 0x8000;
const tables = { root: 0x20000, level1: 0x21000, level2: 0x22000, level3: 0x23000 } as const;
const data = { start: 0x60000, size: 0x40000 } as const;
/** Registers with a purpose. The others, up to x15, are changed by the programs. */
const pointers = [16, 17, 18, 19] as const;
const codePointer = 20;
const devicePointer = 21;
const jumpTarget = 22;
const pageNumber = 23;
const smallNumber = 24;

type Next = () => number;

const memoryOps = ['load', 'store', 'loadPair', 'storePair', 'loadVector', 'storeVector', 'clearBlock'];
const opsOf = ({ semantics }: A64Instruction): ReadonlySet<string> => mentionsOf(semantics.statements).ops;
const isMemory = (each: A64Instruction): boolean => memoryOps.some((op) => opsOf(each).has(op));
const isPlain = (each: A64Instruction): boolean => !opsOf(each).has('jump') && !opsOf(each).has('system');

/** Groups of instructions. Made once, because it takes the meaning of every instruction. */
function groups(): Readonly<
  Record<'integer' | 'memory' | 'near' | 'vector' | 'vectorMemory', A64Instruction[]>
> {
  const all = a64();
  const scalar = all.filter(({ vector }) => !vector);
  return {
    integer: scalar.filter((each) => isPlain(each) && !isMemory(each)),
    memory: scalar.filter((each) => isPlain(each) && isMemory(each)),
    near: scalar.filter(({ semantics }) => flowOf(semantics.statements).near !== null),
    vector: all.filter((each) => each.vector && isPlain(each) && !isMemory(each)),
    vectorMemory: all.filter((each) => each.vector && isPlain(each) && isMemory(each)),
  };
}

let known: ReturnType<typeof groups> | null = null;

const systemLines = [
  'isb', 'svc #0x1', 'hvc #0xffff', 'hvc #0xffff', 'tlbi vmalle1', `tlbi vaae1, x${pageNumber}`, 'mrs x3, nzcv', 'msr nzcv, x4',
  'msr daifset, #0x2', 'msr daifclr, #0x2', 'yield', `dc zva, x${pointers[0]}`, 'mrs x5, icc_pmr_el1', 'msr icc_pmr_el1, x6',
  'msr spsel, #0x0', 'msr spsel, #0x1', `br x${jumpTarget}`, `blr x${jumpTarget}`, 'ret', 'ret', 'udf #0x0', 'clrex',
] as const; // prettier-ignore
const systemWords = new Map<string, number>();

function pick<T>(from: readonly T[], next: Next): T {
  const found = from[next() % from.length];
  if (found === undefined) throw new TypeError('nothing to pick from');
  return found;
}

/** A word of the instruction in which the fields that `fixed` names have these values, and others are random. */
function wordOf(instruction: A64Instruction, next: Next, fixed: (field: string) => number | null): number {
  const { pattern } = instruction;
  for (let attempt = 0; attempt < 8; attempt += 1) {
    const fields = pattern.fields.map(({ name, ones }): [string, number] => [
      name,
      (fixed(name) ?? next()) & ones,
    ]);
    const word = insertFields(pattern, Object.fromEntries(fields));
    if (instruction.decodes(word, modes[2])) return word;
  }
  return insertFields(pattern, extractFields(pattern, pattern.written));
}

function destination(next: Next): number {
  return next() % 16 === 0 ? 31 : next() % 16;
}

function base(next: Next): number {
  const kind = next() % 32;
  if (kind === 0) return codePointer;
  if (kind === 1) return devicePointer;
  return kind < 5 ? 31 : pick(pointers, next);
}

/** A word of the programs. With `vectors`, a third of the words are floating-point and SIMD instructions; else few. */
function programWord(next: Next, vectors: boolean): number {
  known ??= groups();
  const kind = next() % 64;
  const general = (field: string): number | null => {
    if (/^R[dts]2?$/.test(field)) return destination(next);
    return field.startsWith('R') ? next() % 25 : null;
  };
  const access = (field: string): number | null => {
    if (field === 'Rn') return base(next);
    if (field === 'Rm') return smallNumber;
    if (field === 'imm12') return next() % 64;
    if (field === 'imm19') return (next() % 128) - 64;
    return general(field);
  };
  const kindOfVector = vectors && kind < 46 && next() % 2 === 0 ? 58 + (next() % 2) : kind;
  if (kindOfVector === 58)
    return wordOf(pick(known.vector, next), next, (field) => (field === 'Rn' ? null : general(field)));
  if (kindOfVector === 59) return wordOf(pick(known.vectorMemory, next), next, access);
  if (kind < 34) return wordOf(pick(known.integer, next), next, general);
  if (kind < 46) return wordOf(pick(known.memory, next), next, access);
  if (kind < 58) {
    const distance = next() % 8 === 0 ? (next() % 4096) - 2048 : (next() % 48) - 24;
    const branch = (field: string): number | null => (field.startsWith('imm') ? distance : general(field));
    return wordOf(pick(known.near, next), next, branch);
  }
  const line = pick(systemLines, next);
  const word = systemWords.get(line) ?? assemble(line, 0);
  systemWords.set(line, word);
  return word;
}

function mapCode({ processor }: TestMachine, page: number, to: number): void {
  new DataView(processor.ram.buffer, processor.ramStart).setBigUint64(
    tables.level3 + page * 8,
    BigInt(to) | 3n | (1n << 2n) | (1n << 10n) | (1n << 54n),
    true,
  );
}

/** Maps memory one to one, and switches translation on. */
function translate(machine: TestMachine): void {
  machine.setWord(tables.root, BigInt(tables.level1) | 3n);
  machine.setWord(tables.level1, BigInt(tables.level2) | 3n);
  machine.setWord(tables.level2, BigInt(tables.level3) | 3n);
  for (let page = 0; page < 256; page += 1) mapCode(machine, page, page * 0x1000);
  const cpu = vcpuOf(machine);
  cpu.setSystemRegister('MAIR_EL1', 0xff00n);
  cpu.setSystemRegister('TCR_EL1', 16n | (1n << 23n) | (4n << 32n));
  cpu.setSystemRegister('TTBR0_EL1', BigInt(tables.root));
  cpu.setSystemRegister('SCTLR_EL1', 0x30d00801n);
}

function setRegisters(machine: TestMachine, next: Next): void {
  const cpu = vcpuOf(machine);
  for (let number = 0; number < 16; number += 1) {
    const any = (BigInt(next()) << 32n) | BigInt(next());
    cpu.setRegister(number, pick([any, any & 0xffn, any & 0xffffffffn, any | 0xffffffff00000000n, 0n], next));
  }
  const inData = (): bigint => BigInt(data.start + (next() % data.size)) & ~7n;
  for (const pointer of pointers) cpu.setRegister(pointer, inData());
  cpu.setRegister(codePointer, BigInt(next() % codeEnd) & ~3n);
  cpu.setRegister(devicePointer, BigInt(deviceAddress));
  cpu.setRegister(jumpTarget, BigInt(next() % codeEnd) & ~3n);
  cpu.setRegister(pageNumber, BigInt(next() % codePages));
  cpu.setRegister(smallNumber, BigInt(next() % 256) & ~7n);
  cpu.setRegister(30, BigInt(next() % codeEnd) & ~3n);
  cpu.mode = next() % 4 === 0 ? 'EL1t' : 'EL1h';
  cpu.setSystemRegister('SP_EL0', inData() & ~15n);
  cpu.pc = BigInt(next() % codeEnd) & ~3n;
}

/** Changes what a program does not see coming: translations, code, interrupts, the budget. */
function disturb(machine: TestMachine, next: Next, vectors: boolean): void {
  const { processor } = machine;
  machine.answer = next() % 8 === 0 ? null : BigInt(next());
  processor.setInterruptLine(0, next() % 2 === 0 ? 'irq' : 'fiq', next() % 3 === 0);
  if (next() % 16 === 0) processor.stop();
  if (next() % 8 === 0) {
    const [a, b] = [next() % codePages, next() % codePages];
    mapCode(machine, a, (next() % codePages) * 0x1000);
    mapCode(machine, b, (next() % codePages) * 0x1000);
  }
  if (next() % 8 === 0) {
    const at = (next() % codeEnd) & ~3;
    new DataView(processor.ram.buffer, processor.ramStart).setUint32(at, programWord(next, vectors), true);
    processor.wrote(processor.ramStart + at, 4);
  }
}

/** FNV-1a over 32-bit words. */
function checksum(bytes: Uint8Array<ArrayBuffer>): string {
  let sum = 0x811c9dc5;
  for (const word of new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)) {
    sum = Math.imul(sum ^ word, 0x01000193);
  }
  return (sum >>> 0).toString(16);
}

export interface ProgramTrace {
  /** After each run: why and where it ended, and the state of the vCPU and sometimes the memory. */
  readonly runs: readonly string[];
  /** Calls and accesses that the machine saw, with their times. */
  readonly heard: readonly string[];
  readonly executed: number;
  readonly processor: TestMachine['processor'];
}

/** Runs a random program. `afterRun` is called after each run, for what must not change anything. */
export function runProgram(
  seed: number,
  runs: number,
  engine: EngineOptions,
  afterRun: (machine: TestMachine, next: Next) => void = () => undefined,
): ProgramTrace {
  const next = numbers(seed);
  const unseen = numbers(seed + 1);
  const vectors = seed % 3 === 0;
  const translated = next() % 3 !== 0;
  const decodedPages = next() % 4 === 0 ? 3 : 40;
  const machine = testMachine({ decodedPages, engine });
  const { processor } = machine;
  const code = new DataView(processor.ram.buffer, processor.ramStart);
  for (let at = 0; at < codeEnd; at += 4) code.setUint32(at, programWord(next, vectors), true);
  for (let vector = 0; vector < 16; vector += 1) {
    const lines = ['mrs x25, elr_el1', 'add x25, x25, #4', 'msr elr_el1, x25', 'hvc #0xffff', 'eret'];
    machine.program(vectorTable + vector * 0x80, lines.join('\n'));
  }
  if (translated) translate(machine);
  const cpu = vcpuOf(machine);
  cpu.setSystemRegister('VBAR_EL1', BigInt(vectorTable));
  machine.reaction = () => disturb(machine, next, vectors);
  const found: string[] = [];
  let executed = 0;
  for (let run = 0; run < runs; run += 1) {
    if (run % 10 === 0) setRegisters(machine, next);
    const result = processor.run(0, 1 + (next() % (run % 2 === 0 ? 1000 : 30)));
    executed += result.executed;
    const registers = Array.from({ length: 31 }, (_, number) => cpu.register(number).toString(16));
    const vector = Array.from({ length: 32 }, (_, number) => cpu.vector(number).join());
    const memory = run % 10 === 9 ? checksum(processor.ram) : '';
    const stack = cpu.systemRegister('SP_EL0').toString(16);
    found.push(
      [
        result.reason,
        result.executed,
        cpu.pc.toString(16),
        cpu.mode,
        cpu.nzcv,
        stack,
        ...registers,
        ...vector,
        memory,
      ].join(' '),
    );
    afterRun(machine, unseen);
  }
  const heard = machine.heard.map(({ kind, at, bytes = 0, value = 0n, executed: time }) =>
    [kind, at, bytes, value.toString(16), time].join(' '),
  );
  return { runs: found, heard, executed, processor };
}
