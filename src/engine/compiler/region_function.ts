/**
 * Builds the WebAssembly function of a region. To the interpreter it is the function of an instruction (instruction_function.ts): it
 * is called by the handler number of the region's entries, with the record where the region is entered, and its status says how the
 * interpreter goes on. Counting is the interpreter's too: `limit` moves with each jump within the page, and only there it is looked at.
 *
 * Registers are read from locals, and written to locals and to the vCPU's block. So an exit stores the position and the flags only.
 */
import { InvariantError, present } from '../../base/index.js';
import type { Statement } from '../../isa/index.js';
import type { CodeModel } from '../architecture.js';
import { emitExpr, emitStatements } from '../emit.js';
import type { Environment } from '../emit.js';
import { functionStatus } from '../instruction_function.js';
import { cpuOffsets, recordBytes } from '../layout.js';
import { accessEmitters } from '../memory_access.js';
import type { AccessEnvironment } from '../memory_access.js';
import { Code, i32, i64, load32, opcodes, select, store32, stores64, wrap } from '../wasm/code.js';
import type { ScalarType, ValueType } from '../wasm/code.js';
import type { Block, RegionCode } from './discover.js';
import { RegionLocals } from './region_locals.js';
import { root, structure } from './structure.js';
import type { Structure } from './structure.js';
import { operandOf } from './units.js';
import type { Unit, UnitSource } from './units.js';
import { isInlined, usageOf } from './usage.js';

/** A region to be built. */
export interface RegionPlan {
  readonly code: RegionCode;
  /** The handler number of its entries. */
  readonly handler: number;
}

export interface RegionSurroundings {
  readonly source: UnitSource;
  readonly model: CodeModel;
  /** Index of the function that calls an instruction's own function: `(cpu, record, pc, number) -> status`. */
  readonly callFunction: number;
  /** Index of a function to be told of stores, `(byte offset, bytes)`, for a check; null for none. */
  readonly storing: number | null;
  /** The number of the own function of a handler, for `callFunction`. */
  functionOf(handler: number): number;
}

export interface RegionFunction {
  readonly locals: readonly ValueType[];
  readonly code: Code;
}

export function buildRegion(plan: RegionPlan, surroundings: RegionSurroundings): RegionFunction {
  return new RegionBuilder(plan, surroundings).build();
}

/** Size of a vector register in a vCPU's block. */
const vectorBytes = 16;

/** A construct of structured control flow that is open: what a branch to it means. */
type Frame =
  | { readonly kind: 'loop' | 'before'; readonly node: number }
  | { readonly kind: 'leave' | 'giveUp' | 'other' };

class RegionBuilder {
  #code = new Code();
  readonly #plan: RegionPlan;
  readonly #around: RegionSurroundings;
  readonly #local: RegionLocals;
  readonly #structure: Structure;
  readonly #frames: Frame[] = [];
  readonly #usesFlags: boolean;
  readonly #setsFlags: boolean;
  /** The registers that the region reads from locals. */
  readonly #read: ReadonlySet<number>;

  constructor(plan: RegionPlan, surroundings: RegionSurroundings) {
    this.#plan = plan;
    this.#around = surroundings;
    const { model } = surroundings;
    const { blocks, entries } = plan.code;
    this.#local = new RegionLocals(model.flags);
    this.#structure = structure(blocks.length, entries, (number) => successorsOf(blocks[number]));
    const inlined = blocks.flatMap(({ units }) => units).filter(({ instruction }) => isInlined(instruction));
    const usages = inlined.map(({ instruction }) => usageOf(instruction.semantics.statements));
    this.#usesFlags = usages.some(({ usesFlags }) => usesFlags);
    this.#setsFlags = usages.some(({ setsFlags }) => setsFlags);
    this.#read = new Set(
      inlined
        .flatMap((unit, index) => [...(usages[index]?.reads ?? [])].map((each) => this.#place(unit, each)))
        .filter((place) => place !== surroundings.source.model.zero),
    );
  }

  build(): RegionFunction {
    const body = this.#code;
    this.#open('leave', () => {
      this.#open('giveUp', () => {
        // The entry goes here, once all registers are known.
        const before = this.#code;
        this.#code = new Code();
        this.#root();
        const inner = this.#code;
        this.#code = before;
        this.#enter();
        body.append(inner.bytes()).unreachable();
      });
      this.#callAndReturn();
    });
    this.#return();
    return { locals: this.#local.types, code: body };
  }

  // The function's frame

  #enter(): void {
    const { page } = this.#local;
    const code = this.#code;
    this.#local.loadPosition(code);
    if (this.#usesFlags) this.#local.loadFlags(code);
    this.#local.loadRegisters(code, this.#read);
    code.get(page).constant(i64, -4096).byte(opcodes[i64].and).set(page);
    const { entries, blocks } = this.#plan.code;
    const { fromRoot } = this.#structure;
    // Which entry this is, as a nest of selections.
    for (const entry of entries) code.constant(i32, fromRoot.indexOf(entry));
    for (const entry of entries.slice(0, -1).toReversed()) {
      const [first] = present(blocks[entry], 'a block').units;
      code.get(this.#local.record).constant(i32, present(first, 'a unit').record).byte(opcodes[i32].eq);
      code.byte(select);
    }
    code.set(this.#local.selector);
  }

  /** Runs the instruction at `record` by its own function, and lets the interpreter go on behind it. */
  #callAndReturn(): void {
    const { record, target, called, status } = this.#local;
    this.#savePosition(() => this.#code.get(record));
    const code = this.#code;
    code.get(this.#local.cpu).get(record).get(target).get(called).call(this.#around.callFunction);
    // The flags in the block may be others than those that the interpreter has.
    code.set(status).constant(i32, functionStatus.nextWithFlags).get(status);
    code.get(status).byte(opcodes[i32].eqz).byte(select).return();
  }

  /** Returns `status`. The interpreter goes on at `record`, or at `target` if the status is that of a jump. */
  #return(): void {
    const { cpu, record, target, status } = this.#local;
    this.#code.get(cpu).get(target).memory(stores64[8][0], 3, cpuOffsets.pc);
    // The interpreter goes on behind the record that it finds.
    this.#savePosition(() => this.#code.get(record).constant(i32, recordBytes).byte(opcodes[i32].sub));
    this.#code.get(status);
  }

  #savePosition(push: () => void): void {
    this.#code.get(this.#local.cpu);
    push();
    this.#code.memory(store32, 2, cpuOffsets.record);
    this.#local.saveLimit(this.#code);
    if (this.#setsFlags) this.#local.saveFlags(this.#code);
  }

  // Control flow

  #open(frame: 'leave' | 'giveUp' | Frame, write: () => void): void {
    const opened: Frame = typeof frame === 'string' ? { kind: frame } : frame;
    if (opened.kind === 'loop') this.#code.loop();
    else this.#code.block();
    this.#within(opened, write);
  }

  #within(frame: Frame, write: () => void): void {
    this.#frames.push(frame);
    write();
    this.#frames.pop();
    this.#code.end();
  }

  /** Pops a condition. What `write` emits runs if it is true. */
  #when(write: () => void): void {
    this.#code.if();
    this.#within({ kind: 'other' }, write);
  }

  #depth(kind: Frame['kind'], node?: number): number {
    const at = this.#frames.findLastIndex(
      (frame) => frame.kind === kind && (node === undefined || ('node' in frame && frame.node === node)),
    );
    if (at < 0) throw new InvariantError('a branch leads to a block that is not open');
    return this.#frames.length - 1 - at;
  }

  #root(): void {
    const { fromRoot, rootIsLoop, merges, isMerge } = this.#structure;
    const [only] = fromRoot;
    if (only !== undefined && !isMerge(only)) {
      this.#tree(only);
      return;
    }
    const write = (): void =>
      this.#behind(merges(root), () => {
        const depths = fromRoot.map((node) => this.#depth('before', node));
        this.#code.get(this.#local.selector).branchTable(depths.slice(0, -1), depths.at(-1) ?? 0);
      });
    if (rootIsLoop) this.#open({ kind: 'loop', node: root }, write);
    else write();
  }

  /** A node with all that it dominates. */
  #tree(node: number): void {
    const write = (): void => this.#behind(this.#structure.merges(node), () => this.#block(node));
    if (this.#structure.isLoop(node)) this.#open({ kind: 'loop', node }, write);
    else write();
  }

  /** What `write` emits, and behind it the nodes at which its branches meet. */
  #behind(merges: readonly number[], write: () => void): void {
    const [first, ...rest] = merges;
    if (first === undefined) {
      write();
      return;
    }
    this.#open({ kind: 'before', node: first }, () => this.#behind(rest, write));
    this.#tree(first);
  }

  #goTo(from: number, to: number): void {
    const { throughRoot, isBack, isMerge, fromRoot } = this.#structure;
    if (throughRoot(from, to)) {
      this.#code.constant(i32, fromRoot.indexOf(to)).set(this.#local.selector);
      this.#code.branch(this.#depth('loop', root));
    } else if (isBack(from, to)) {
      this.#code.branch(this.#depth('loop', to));
    } else if (isMerge(to)) {
      this.#code.branch(this.#depth('before', to));
    } else {
      this.#tree(to);
    }
  }

  #block(number: number): void {
    const block = present(this.#plan.code.blocks[number], 'a block');
    for (const unit of block.units) {
      if (isInlined(unit.instruction))
        emitStatements(this.#environment(unit, block, number), statementsOf(unit));
      else this.#call(unit);
    }
    const last = present(block.units.at(-1), 'a unit');
    if (last.next === null) this.#code.unreachable();
    else if (block.next === null) this.#leaveAt(last.next, functionStatus.nextWithFlags);
    else this.#goTo(number, block.next);
  }

  /** Lets the interpreter go on at a record. */
  #leaveAt(record: number, status: number): void {
    this.#code.constant(i32, record).set(this.#local.record);
    this.#code.constant(i32, status).set(this.#local.status);
    this.#code.branch(this.#depth('leave'));
  }

  /** Pushes the address of an instruction, by its offset in the page. */
  #pushAddress(offset: number): void {
    this.#code.get(this.#local.page).constant(i64, offset).byte(opcodes[i64].add);
  }

  #jump(
    unit: Unit,
    block: Block,
    number: number,
    environment: Environment,
    { target, near, isSchedulingPoint }: Extract<Statement, { op: 'jump' }>,
  ): void {
    const code = this.#code;
    if (near === null || unit.near === null) {
      emitExpr(environment, target);
      code.set(this.#local.target);
      const status = isSchedulingPoint ? functionStatus.jump : functionStatus.refetch;
      this.#leaveAt(unit.record + recordBytes, status);
      return;
    }
    const to = unit.near;
    const { limit } = this.#local;
    code
      .get(limit)
      .constant(i32, to - unit.record - recordBytes)
      .byte(opcodes[i32].add)
      .tee(limit);
    code.constant(i32, to).byte(opcodes[i32].leSigned);
    this.#when(() => {
      this.#pushAddress(this.#around.source.instructionOf(to) & 0xfff);
      code.set(this.#local.target);
      this.#leaveAt(to, functionStatus.jump);
    });
    if (block.jump === null) this.#leaveAt(to, functionStatus.nextWithFlags);
    else this.#goTo(number, block.jump);
  }

  // Instructions

  #environment(unit: Unit, block: Block, number: number): Environment {
    const code = this.#code;
    const { model } = this.#around;
    const local = this.#local;
    const access: AccessEnvironment = {
      locals: local,
      unaligned: model.unaligned,
      missed: { giveUpIf: () => this.#giveUpIf(unit) },
      storing: (bytes) => this.#storing(bytes),
    };
    const environment: Environment = {
      code,
      cpu: local.cpu,
      flagSet: model.flags,
      flags: local.flags,
      saturation: model.floatRegisters.saturation,
      readRegister: (operand, type) => this.#readRegister(this.#place(unit, operand), type),
      writeRegister: (operand, push) => this.#writeRegister(this.#place(unit, operand), push),
      writeFixedRegister: (register, push) => this.#writeRegister(register, push),
      vectorAddress: (operand) => {
        code
          .get(local.cpu)
          .constant(i32, vectorBytes * this.#place(unit, operand))
          .byte(opcodes[i32].add);
      },
      immediate: (operand, type) => code.constant(type, operandOf(this.#around.source, unit, operand)),
      condition: (operand) =>
        emitExpr(
          environment,
          this.#around.source.model.condition(Number(operandOf(this.#around.source, unit, operand))),
        ),
      pc: () => this.#pushAddress(unit.offset),
      record: () => code.constant(i32, unit.record),
      limit: () => code.get(local.limit),
      local: (index, type) => local.pool.local(index, type),
      ...accessEmitters(() => environment, access),
      float: () => refuse(unit),
      jump: (statement) => this.#jump(unit, block, number, environment, statement),
      system: () => this.#giveUp(unit),
      checkStack: (operand) => this.#checkStack(unit, this.#place(unit, operand)),
      nest: (by) => {
        if (by === 1) this.#frames.push({ kind: 'other' });
        else this.#frames.pop();
      },
    };
    return environment;
  }

  #place(unit: Unit, operand: string): number {
    return Number(operandOf(this.#around.source, unit, operand));
  }

  #readRegister(place: number, type: ScalarType): void {
    const code = this.#code;
    if (place === this.#around.source.model.zero) {
      code.constant(type, 0);
      return;
    }
    code.get(this.#local.register(place));
    if (type === i32) code.byte(wrap);
  }

  #writeRegister(place: number, push: () => void): void {
    // Expressions have no effect.
    if (place === this.#around.source.model.sink) return;
    const code = this.#code;
    code.get(this.#local.cpu);
    push();
    code.tee(this.#local.register(place)).memory(stores64[8][0], 3, cpuOffsets.registers + 8 * place);
  }

  #checkStack(unit: Unit, place: number): void {
    if (place !== this.#around.model.stackPointer) return;
    this.#readRegister(place, i32);
    this.#code.constant(i32, 15).byte(opcodes[i32].and);
    this.#giveUpIf(unit);
  }

  /** Lets an instruction's own function run it, before it has changed anything. */
  #giveUp(unit: Unit): void {
    const code = this.#code;
    this.#pushAddress(unit.offset);
    code.set(this.#local.target).constant(i32, unit.record).set(this.#local.record);
    code.constant(i32, this.#around.functionOf(unit.handler)).set(this.#local.called);
    code.branch(this.#depth('giveUp'));
  }

  #storing(bytes: number): void {
    const { storing } = this.#around;
    if (storing !== null) this.#code.get(this.#local.entry).constant(i32, bytes).call(storing);
  }

  #giveUpIf(unit: Unit): void {
    this.#when(() => this.#giveUp(unit));
  }

  /** Runs an instruction by its own function, and goes on behind it unless that says otherwise or has dropped the region. */
  #call(unit: Unit): void {
    const code = this.#code;
    const local = this.#local;
    const usage = usageOf(statementsOf(unit));
    this.#savePosition(() => code.constant(i32, unit.record));
    code.get(local.cpu).constant(i32, unit.record);
    this.#pushAddress(unit.offset);
    code.constant(i32, this.#around.functionOf(unit.handler)).call(this.#around.callFunction);
    code.tee(local.status).constant(i32, ~functionStatus.nextWithFlags).byte(opcodes[i32].and);
    this.#when(() => code.get(local.status).return());
    code.constant(i32, this.#entryRecord()).memory(load32.half, 1, 0);
    code.constant(i32, this.#plan.handler).byte(opcodes[i32].ne);
    this.#when(() => code.constant(i32, functionStatus.nextWithFlags).return());
    if (this.#usesFlags && usage.setsFlags) local.loadFlags(code);
    local.loadPosition(code);
    const written = [...usage.writes].map((operand) => this.#place(unit, operand));
    const changed = usage.callsHost ? this.#read : new Set([...written, ...usage.fixedWrites]);
    local.loadRegisters(
      code,
      [...changed].filter((place) => this.#read.has(place)),
    );
  }

  /** The record of the first entry, which has another handler once the region is dropped. */
  #entryRecord(): number {
    const { blocks, entries } = this.#plan.code;
    const first = present(blocks[entries[0] ?? 0], 'a block').units[0];
    return present(first, 'a unit').record;
  }
}

function statementsOf({ instruction }: Unit): readonly Statement[] {
  return instruction.semantics.statements;
}

function successorsOf(block: Block | undefined): readonly number[] {
  // What follows in sequence comes first, so that it follows in the function too.
  return [block?.next ?? null, block?.jump ?? null].filter((each) => each !== null);
}

function refuse({ instruction: { name } }: Unit): never {
  throw new InvariantError(`${name} must be called`);
}
