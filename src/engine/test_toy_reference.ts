/** A direct interpreter of the toy CPU's instructions, one at a time from their bytes: the model that the engine is compared with. */
import { present } from '../base/index.js';
import { flagFrom } from './test_toy_cpu.js';
import { decodeToy, lengthOf, stackPointer, toyConditions, toyFlags } from './test_toy_instructions.js';
import type { ToyStop } from './test_toy_cpu.js';

const wide = (value: bigint): bigint => BigInt.asUintN(64, value);

/** How an instruction ended: whether a time slice may end behind it, or why the run stops at it. */
export type Outcome = 'goesOn' | 'schedulingPoint' | ToyStop;

export class ToyReference {
  pc = 0n;
  registers: bigint[] = [0n, 0n, 0n, 0n];
  flags: Record<string, number> = Object.fromEntries(
    Object.entries(toyFlags).map(([name, form]) => [name, flagFrom(form, 0n)]),
  );
  readonly calls: number[] = [];
  readonly #memory: Uint8Array;
  readonly #pageTable: readonly (number | null)[];

  constructor(memory: Uint8Array, pageTable: readonly (number | null)[]) {
    this.#memory = memory;
    this.#pageTable = pageTable;
  }

  /** The offset in memory of an address; null where it is not mapped. */
  #offset(address: bigint): number | null {
    const page = address < 1n << 40n ? this.#pageTable[Number(address >> 12n)] : null;
    return page === null || page === undefined ? null : page * 4096 + Number(address & 0xfffn);
  }

  /** The offsets of `bytes` bytes; the address that is not mapped where there is one. */
  #offsets(address: bigint, bytes: number): number[] | bigint {
    const found: number[] = [];
    for (let index = 0; index < bytes; index += 1) {
      const at = wide(address + BigInt(index));
      const offset = this.#offset(at);
      if (offset === null) return at;
      found.push(offset);
    }
    return found;
  }

  /** The bytes of the instruction at pc; or the address that cannot be fetched. */
  #fetch(): number[] | bigint {
    for (let count = 1; ; count += 1) {
      const offsets = this.#offsets(this.pc, count);
      if (typeof offsets === 'bigint') return offsets;
      const bytes = offsets.map((offset) => this.#memory[offset] ?? 0);
      if (decodeToy(bytes, 0, count) !== 'incomplete') return bytes;
    }
  }

  #load(address: bigint): bigint | ToyStop {
    const offsets = this.#offsets(address, 8);
    if (typeof offsets === 'bigint') return { kind: 'fault', access: 'load', address: offsets };
    return offsets.reduceRight((value, offset) => (value << 8n) | BigInt(this.#memory[offset] ?? 0), 0n);
  }

  #store(address: bigint, bytes: number, value: bigint): ToyStop | null {
    const offsets = this.#offsets(address, bytes);
    if (typeof offsets === 'bigint') return { kind: 'fault', access: 'store', address: offsets };
    for (const [index, offset] of offsets.entries()) {
      this.#memory[offset] = Number((value >> BigInt(8 * index)) & 0xffn);
    }
    return null;
  }

  #setFlags(result: bigint, sources: { readonly v: bigint; readonly a: bigint; readonly c?: boolean }): void {
    const { v, a, c } = sources;
    this.flags = {
      n: flagFrom('sign', result),
      z: flagFrom('zero', result),
      v: flagFrom('sign', wide(v)),
      p: flagFrom('evenParity', result),
      a: flagFrom('bit4', wide(a)),
      c: c === undefined ? (this.flags['c'] ?? 0) : Number(c),
    };
  }

  #register(index: number): bigint {
    return present(this.registers[index & 3], 'a register');
  }

  #holds(condition: number): boolean {
    const flag = present(toyConditions[condition % toyConditions.length], 'a condition');
    return (this.flags[flag] === 1) !== condition >= toyConditions.length;
  }

  /** Runs one instruction. */
  step(): Outcome {
    const bytes = this.#fetch();
    if (typeof bytes === 'bigint') return { kind: 'fault', access: 'fetch', address: bytes };
    const found = decodeToy(bytes, 0, bytes.length);
    if (found === null || found === 'incomplete') return { kind: 'undefined' };
    const { instruction, fields } = found;
    const next = wide(this.pc + BigInt(lengthOf(instruction)));
    const jump = this.#execute(instruction.name, fields, next);
    if (typeof jump === 'object' && jump !== null) return jump;
    const before = this.pc;
    this.pc = jump ?? next;
    return jump !== null || before >> 12n !== next >> 12n ? 'schedulingPoint' : 'goesOn';
  }

  /** Moves and arithmetic. False for other instructions. */
  #calculate(name: string, { d = 0, s = 0, i = 0 }: Readonly<Record<string, number>>): boolean {
    const [a, b] = [this.#register(d), this.#register(s)];
    switch (name) {
      case 'MOVE8':
      case 'MOVE32':
        this.registers[d] = wide(BigInt(i));
        return true;
      case 'MOVE':
        this.registers[d] = b;
        return true;
      case 'ADD': {
        const sum = wide(a + b);
        this.#setFlags(sum, { v: (a ^ sum) & (b ^ sum), a: a ^ b ^ sum, c: a + b !== sum });
        this.registers[d] = sum;
        return true;
      }
      case 'COMPARE': {
        const difference = wide(a - b);
        this.#setFlags(difference, { v: (a ^ b) & (a ^ difference), a: a ^ b ^ difference, c: a < b });
        return true;
      }
      case 'INCREMENT': {
        const sum = wide(a + 1n);
        this.#setFlags(sum, { v: (a ^ sum) & sum, a: a ^ 1n ^ sum });
        this.registers[d] = sum;
        return true;
      }
      case 'WHERE':
        this.registers[d] = this.pc;
        return true;
      default:
        return false;
    }
  }

  /** Loads and stores but for the stack: why the instruction is left, or null; undefined for other instructions. */
  #access(
    name: string,
    { d = 0, s = 0, i = 0 }: Readonly<Record<string, number>>,
  ): ToyStop | null | undefined {
    const base = this.#register(s);
    if (name === 'LOAD') {
      const value = this.#load(wide(base + BigInt(i)));
      if (typeof value !== 'bigint') return value;
      this.registers[d] = value;
      return null;
    }
    if (name === 'STORE') return this.#store(wide(base + BigInt(i)), 8, this.#register(d));
    if (name !== 'STORE_BYTE') return undefined;
    const stop = this.#store(base, 1, this.#register(d));
    if (stop === null) this.registers[s] = wide(base + 1n);
    return stop;
  }

  /** Pushes the return address; the target, or why the instruction is left. */
  #call(near: bigint, next: bigint): bigint | ToyStop {
    const top = wide(this.#register(stackPointer) - 8n);
    const stop = this.#store(top, 8, next);
    if (stop !== null) return stop;
    this.registers[stackPointer] = top;
    return near;
  }

  #return(): bigint | ToyStop {
    const top = this.#register(stackPointer);
    const to = this.#load(top);
    if (typeof to === 'bigint') this.registers[stackPointer] = wide(top + 8n);
    return to;
  }

  /** Returns the target of a taken branch, null if there is none, or why the instruction is left. */
  #execute(name: string, fields: Readonly<Record<string, number>>, next: bigint): bigint | null | ToyStop {
    if (this.#calculate(name, fields)) return null;
    const access = this.#access(name, fields);
    if (access !== undefined) return access;
    const { d = 0, i = 0 } = fields;
    const near = wide(this.pc + BigInt(i));
    switch (name) {
      case 'JUMP8':
      case 'JUMP32':
        return near;
      case 'CALL':
        return this.#call(near, next);
      case 'RETURN':
        return this.#return();
      case 'JUMP_TO':
        return this.#register(d);
      case 'JUMP_IF':
        return this.#holds(d) ? near : null;
      case 'SYSTEM':
        this.calls.push(i);
        return i >= 128 ? { kind: 'call', number: i } : null;
      default:
        return null;
    }
  }
}
