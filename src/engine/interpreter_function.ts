/**
 * Builds the interpreter's large function: a handler for each instruction that is not cold, dispatched by `br_table`
 * over decoded records. It is generated from the definitions and names no instruction.
 *
 * No handler calls a function. Where it would need one (a TLB miss, an unaligned address), it bails out before it has
 * changed any state, and the instruction's own function runs the whole instruction. In the few calls that remain, no
 * local lives across the call: the values go through the vCPU's block. This lets the optimising compiler keep locals in
 * registers and keeps the function small, so that it is optimised early.
 *
 * The function's structure, from outside in: two blocks that lead to exits, a loop that finds the records of the page
 * of `target`, a loop that runs one record after the other, and the blocks of the handlers.
 */
import { InvariantError } from '../base/index.js';
import { commonSystemCalls } from '../isa/index.js';
import type { Statement } from '../isa/index.js';
import { pushHalves } from './access_functions.js';
import type { CodeModel } from './architecture.js';
import { coldStatus } from './cold.js';
import { emitExpr, emitStatements } from './emit.js';
import type { Environment } from './emit.js';
import { emitLoadFlags, emitSaveFlags, FunctionLocals, layOutFlags } from './flags.js';
import type { FlagLocals, FlagSlot } from './flags.js';
import { specialCount } from './handlers.js';
import type { Handler, HandlerPlan } from './handlers.js';
import type { Host } from './host_functions.js';
import {
  accessResults,
  codeTlbEntries,
  cpuOffsets,
  exits,
  recordBytes,
  tlbEntry,
  tlbOffsets,
} from './layout.js';
import { emitClearBlock, emitLoad, emitLoadPair, emitStore, emitStorePair } from './memory_access.js';
import type { AccessEnvironment } from './memory_access.js';
import { recordLayout } from './record.js';
import { ifStackMisaligned, LocalPool, operandReader } from './record_operands.js';
import {
  Code,
  extendUnsigned,
  i32,
  i64,
  load32,
  loads64,
  opcodes,
  store32,
  stores64,
  wrap,
} from './wasm/code.js';
import type { ValueType } from './wasm/code.js';

/** The function's locals. Those of instructions follow. */
interface Locals {
  readonly cpu: number;
  readonly record: number;
  /** The current TLB set. */
  readonly tlb: number;
  /**
   * Within a page: the record at which the budget is used up if execution continues in sequence. Between pages: 16
   * times the budget (a record is 16 bytes). With this, single instructions need not be counted.
   */
  readonly limit: number;
  readonly flags: FlagLocals;
  readonly entry: number;
  /** The address of an instruction is this value plus a quarter of its record's byte offset. */
  readonly pcBase: number;
  readonly target: number;
  readonly address: number;
  readonly value: number;
}

/** Locals of one type stand together. */
function layOutLocals(slots: readonly FlagSlot[]): { locals: Locals; all: FunctionLocals } {
  const all = new FunctionLocals(1);
  const [record, tlb, limit] = [all.add(i32), all.add(i32), all.add(i32)];
  const bits = all.addFlags(slots, i32);
  const entry = all.add(i32);
  const [pcBase, target] = [all.add(i64), all.add(i64)];
  const flags = { ...all.addFlags(slots, i64), ...bits };
  const [address, value] = [all.add(i64), all.add(i64)];
  return { locals: { cpu: 0, record, tlb, limit, flags, entry, pcBase, target, address, value }, all };
}

export class InterpreterBuilder {
  readonly #code = new Code();
  readonly #model: CodeModel;
  readonly #handlers: readonly Handler[];
  readonly #choices: HandlerPlan['choices'];
  readonly #host: Host;
  /** Number of open blocks inside the innermost handler block. */
  #nesting = 0;
  /** Number of handler blocks that are open at the current position. */
  #openHandlers = 0;
  /** Shared by all handlers, because only one instruction runs at a time. */
  readonly #pool: LocalPool;
  readonly #slots: readonly FlagSlot[];
  readonly #local: Locals;
  readonly #types: readonly ValueType[];

  /** Number of handlers in this function. */
  readonly #hotCount: number;
  /** The first handler whose instruction has a function of its own. */
  readonly #firstCalled: number;
  /** The type index of these functions. */
  readonly #coldType: number;

  constructor(
    { handlers, choices, hot, unfailing }: HandlerPlan,
    model: CodeModel,
    host: Host,
    coldTypeIndex: number,
  ) {
    this.#model = model;
    this.#slots = layOutFlags(model.flags);
    const { locals, all } = layOutLocals(this.#slots);
    this.#local = locals;
    this.#types = all.types;
    this.#pool = new LocalPool(all.end);
    this.#choices = choices;
    this.#handlers = handlers.slice(0, hot);
    this.#host = host;
    this.#hotCount = hot + specialCount;
    this.#firstCalled = unfailing + specialCount;
    this.#coldType = coldTypeIndex;
  }

  /** Types of all locals after the parameter. */
  get locals(): readonly ValueType[] {
    return [...this.#types, ...this.#pool.types];
  }

  build(): Code {
    const code = this.#code;
    this.#loadState();
    code.block(); // left when the budget is used up
    code.block(); // left when the host stops the run within an instruction
    code.loop();
    this.#findPage();
    code.loop();
    const count = this.#hotCount;
    for (let open = 0; open <= count; open += 1) code.block();
    code.get(this.#local.record).memory(load32.half, 1, 0);
    code.branchTable([...Array(count).keys()], count);
    this.#openHandlers = count + 1;
    this.#special(() => this.#decodeRecord());
    this.#special(() => this.#goToNextPage());
    this.#special(() => this.#leaveBy('undefined'));
    this.#special(() => this.#leaveBy('vectorTrap'));
    for (const handler of this.#handlers) this.#handler(handler);
    this.#special(() => this.#callFunction());
    code.end(); // record loop
    code.end(); // page loop
    code.end(); // stopped by the host
    this.#savePosition();
    this.#leavePage(1);
    this.#saveState();
    code.constant(i32, exits.host).return();
    code.end(); // budget used up: record already points to the next instruction
    this.#savePosition();
    this.#leavePage(0);
    this.#saveState();
    return code.constant(i32, exits.budget);
  }

  // Branch depths of the outer structures, from the current position.

  #inner(): number {
    return this.#nesting + this.#openHandlers;
  }

  #toRecordLoop(): void {
    this.#code.branch(this.#inner());
  }

  #toPageLoop(): void {
    this.#code.branch(this.#inner() + 1);
  }

  #toHostExit(): void {
    this.#code.branch(this.#inner() + 2);
  }

  #budgetExitDepth(): number {
    return this.#inner() + 3;
  }

  /** The block end after the last handler, where the instruction's own function is called. */
  #toFunctionDepth(): number {
    return this.#inner() - 1;
  }

  #special(write: () => void): void {
    this.#code.end();
    this.#openHandlers -= 1;
    write();
  }

  #loadState(): void {
    const code = this.#code;
    this.#loadFlags();
    code
      .get(this.#local.cpu)
      .memory(load32.word, 2, cpuOffsets.budget)
      .constant(i32, 4)
      .byte(opcodes[i32].shl);
    code.set(this.#local.limit);
    this.#loadWord(cpuOffsets.tlb, this.#local.tlb);
    this.#loadLong(cpuOffsets.pc, this.#local.target);
  }

  #loadWord(offset: number, into: number): void {
    this.#code.get(this.#local.cpu).memory(load32.word, 2, offset).set(into);
  }

  #loadLong(offset: number, into: number): void {
    this.#code.get(this.#local.cpu).memory(loads64[8][0], 3, offset).set(into);
  }

  /** Between pages: saves the flags and the budget. */
  #saveState(): void {
    this.#saveFlags();
    const code = this.#code.get(this.#local.cpu);
    code.get(this.#local.limit).constant(i32, 4).byte(opcodes[i32].shrSigned);
    code.memory(store32, 2, cpuOffsets.budget);
  }

  #loadFlags(): void {
    emitLoadFlags(this.#code, this.#local.cpu, this.#slots, this.#local.flags);
  }

  #saveFlags(): void {
    emitSaveFlags(this.#code, this.#local.cpu, this.#slots, this.#local.flags);
  }

  /** Saves the address of the current instruction as pc. */
  #savePosition(): void {
    this.#code.get(this.#local.cpu);
    this.#pushPc();
    this.#code.memory(stores64[8][0], 3, cpuOffsets.pc);
  }

  /** Within a page: saves the locals to the vCPU's block, and the part of the budget that was used. */
  #saveLocals(): void {
    this.#saveFlags();
    this.#saveRun();
  }

  #saveRun(): void {
    const code = this.#code;
    code.get(this.#local.cpu).get(this.#local.limit).memory(store32, 2, cpuOffsets.limit);
    code.get(this.#local.cpu).get(this.#local.record).memory(store32, 2, cpuOffsets.record);
    code.get(this.#local.cpu).get(this.#local.pcBase).memory(stores64[8][0], 3, cpuOffsets.pcBase);
  }

  /** Reloads the locals after a call. The host may have changed flags and shortened the budget. */
  #loadLocals(): void {
    this.#loadFlags();
    this.#loadRun();
  }

  #loadRun(): void {
    this.#loadWord(cpuOffsets.limit, this.#local.limit);
    this.#loadWord(cpuOffsets.record, this.#local.record);
    this.#loadLong(cpuOffsets.pcBase, this.#local.pcBase);
    this.#loadWord(cpuOffsets.tlb, this.#local.tlb);
  }

  #pushPc(): void {
    this.#code
      .get(this.#local.record)
      .constant(i32, 2)
      .byte(opcodes[i32].shrUnsigned)
      .byte(extendUnsigned)
      .get(this.#local.pcBase)
      .byte(opcodes[i64].add);
  }

  /** Leaves the page: sets the limit to the budget left after the records up to the current one, and adds `more`. */
  #leavePage(more: number): void {
    const code = this.#code;
    code.get(this.#local.limit).get(this.#local.record).byte(opcodes[i32].sub);
    if (more !== 0) code.constant(i32, more * recordBytes).byte(opcodes[i32].sub);
    code.set(this.#local.limit);
  }

  /** Head of the page loop: finds the record page of `target`, and the record in it. */
  #findPage(): void {
    const code = this.#code;
    // An entry has 2^4 bytes and a page 2^12.
    code.get(this.#local.target).constant(i64, 8).byte(opcodes[i64].shrUnsigned).byte(wrap);
    code.constant(i32, (codeTlbEntries - 1) * tlbEntry.bytes).byte(opcodes[i32].and);
    code.get(this.#local.tlb).byte(opcodes[i32].add).tee(this.#local.entry);
    code.memory(loads64[8][0], 3, tlbOffsets.code);
    // Keep the low two bits, so that an unaligned target matches no entry.
    code.get(this.#local.target).constant(i64, ~0xffcn).byte(opcodes[i64].and).byte(opcodes[i64].ne);
    code.if();
    this.#fetchPage();
    code.else();
    code
      .get(this.#local.entry)
      .memory(load32.word, 2, tlbOffsets.code + tlbEntry.place)
      .set(this.#local.entry);
    code.end();
    code.get(this.#local.target).byte(wrap).constant(i32, 0xffc).byte(opcodes[i32].and);
    code
      .constant(i32, 2)
      .byte(opcodes[i32].shl)
      .get(this.#local.entry)
      .byte(opcodes[i32].add)
      .tee(this.#local.record);
    code.get(this.#local.limit).byte(opcodes[i32].add).set(this.#local.limit);
    code.get(this.#local.target).constant(i64, ~0xfffn).byte(opcodes[i64].and);
    code.get(this.#local.entry).constant(i32, 2).byte(opcodes[i32].shrUnsigned).byte(extendUnsigned);
    code.byte(opcodes[i64].sub).set(this.#local.pcBase);
  }

  #fetchPage(): void {
    const code = this.#code;
    code.get(this.#local.cpu).get(this.#local.target).memory(stores64[8][0], 3, cpuOffsets.pc);
    this.#saveFlags();
    // Between pages, the limit is 16 times the budget, as if the current record were at 0.
    code.get(this.#local.cpu).get(this.#local.limit).memory(store32, 2, cpuOffsets.limit);
    code.get(this.#local.cpu).constant(i32, 0).memory(store32, 2, cpuOffsets.record);
    code.get(this.#local.cpu);
    pushHalves(code, this.#local.target);
    code.call(this.#host.fetch).set(this.#local.entry);
    this.#loadFlags();
    this.#loadWord(cpuOffsets.limit, this.#local.limit);
    this.#loadWord(cpuOffsets.tlb, this.#local.tlb);
    this.#loadLong(cpuOffsets.pc, this.#local.target);
    code.get(this.#local.entry).constant(i32, accessResults.faulted).byte(opcodes[i32].eq).if();
    // An instruction that cannot be fetched counts too, so that a guest in a fault loop uses up its budget.
    code.get(this.#local.limit).constant(i32, recordBytes).byte(opcodes[i32].sub).set(this.#local.limit);
    this.#saveState();
    code.constant(i32, exits.host).return();
    code.end();
  }

  #decodeRecord(): void {
    this.#saveLocals();
    this.#code.get(this.#local.record).call(this.#host.decode);
    this.#loadLocals();
    this.#toRecordLoop();
  }

  #goToNextPage(): void {
    this.#pushPc();
    this.#code.set(this.#local.target);
    this.#leavePage(0);
    this.#leaveWhenSpent();
    this.#toPageLoop();
  }

  /** Calls the host for an operation that always exits to the host. */
  #leaveBy(name: (typeof commonSystemCalls)[number]): void {
    const code = this.#code;
    this.#savePosition();
    this.#saveLocals();
    code
      .get(this.#local.cpu)
      .constant(i32, commonSystemCalls.indexOf(name))
      .constant(i64, 0)
      .constant(i64, 0);
    code.call(this.#host.system).set(this.#local.entry);
    this.#loadLocals();
    this.#toHostExit();
  }

  #handler(handler: Handler): void {
    this.#special(() => {
      emitStatements(this.#environment(handler), handler.instruction.semantics.statements);
      this.#advance();
    });
  }

  /**
   * Runs the current record by its instruction's function. Entry 0 of the table is the function of the first such
   * handler.
   */
  #callFunction(): void {
    const code = this.#code;
    this.#saveLocals();
    code.get(this.#local.cpu).get(this.#local.record);
    this.#pushPc();
    code.get(this.#local.record).memory(load32.half, 1, 0).constant(i32, this.#firstCalled);
    code.byte(opcodes[i32].sub).callIndirect(this.#coldType).set(this.#local.entry);
    this.#loadRun();
    code.get(this.#local.entry).if();
    this.#nesting += 1;
    this.#loadFlags();
    code
      .get(this.#local.entry)
      .constant(i32, 0)
      .byte(opcodes[i32].ltSigned)
      .branchIf(this.#inner() + 2);
    this.#goOnAtPc(coldStatus.jump, true);
    this.#goOnAtPc(coldStatus.refetch, false);
    this.#nesting -= 1;
    code.end();
    this.#advance();
  }

  /** Where the function's status is `status`: goes on at the pc in the vCPU's block. */
  #goOnAtPc(status: number, isSchedulingPoint: boolean): void {
    const code = this.#code;
    code.get(this.#local.entry).constant(i32, status).byte(opcodes[i32].eq).if();
    this.#nesting += 1;
    this.#loadLong(cpuOffsets.pc, this.#local.target);
    this.#leavePage(1);
    this.#leaveAtSchedulingPoint(isSchedulingPoint);
    this.#toPageLoop();
    this.#nesting -= 1;
    code.end();
  }

  #advance(): void {
    this.#code
      .get(this.#local.record)
      .constant(i32, recordBytes)
      .byte(opcodes[i32].add)
      .set(this.#local.record);
    this.#toRecordLoop();
  }

  #environment(handler: Handler): Environment {
    const code = this.#code;
    const environment: Environment = {
      code,
      cpu: this.#local.cpu,
      flagSet: this.#model.flags,
      flags: this.#local.flags,
      ...operandReader(
        code,
        this.#model,
        recordLayout(handler.instruction),
        handler.stack,
        this.#local.flags,
      ),
      pc: () => this.#pushPc(),
      local: (index, type) => this.#pool.local(index, type),
      load: (statement) => emitLoad(environment, this.#access(), statement),
      store: (statement) => emitStore(environment, this.#access(), statement),
      loadPair: (statement) => emitLoadPair(environment, this.#access(), statement),
      storePair: (statement) => emitStorePair(environment, this.#access(), statement),
      loadVector: () => refuseVector(handler),
      storeVector: () => refuseVector(handler),
      float: () => refuseVector(handler),
      jump: (statement) => this.#jump(environment, handler, statement),
      system: () => code.branch(this.#toFunctionDepth()),
      checkStack: (operand) => this.#checkStack(handler, operand),
      clearBlock: (statement) => emitClearBlock(environment, this.#access(), statement),
      nest: (by) => {
        this.#nesting += by;
      },
    };
    return environment;
  }

  #access(): AccessEnvironment {
    const giveUpIf = (): unknown => this.#code.branchIf(this.#toFunctionDepth());
    return { locals: { ...this.#local, vector: -1 }, missed: { giveUpIf } };
  }

  #jump(
    e: Environment,
    { near, instruction }: Handler,
    { target, isSchedulingPoint }: Extract<Statement, { op: 'jump' }>,
  ): void {
    const code = this.#code;
    if (near === null) {
      emitExpr(e, target);
      code.set(this.#local.target);
      this.#leavePage(1);
      this.#leaveAtSchedulingPoint(isSchedulingPoint);
      this.#toPageLoop();
      return;
    }
    // A record is four times as large as its instruction.
    code
      .get(this.#local.record)
      .memory(load32.word, 2, recordLayout(instruction)[near]?.at ?? 0)
      .constant(i32, 2)
      .byte(opcodes[i32].shl);
    code.tee(this.#local.entry).get(this.#local.record).byte(opcodes[i32].add).set(this.#local.record);
    // The limit moves by the same distance, minus the one record that was run.
    code.get(this.#local.limit).get(this.#local.entry).byte(opcodes[i32].add).constant(i32, recordBytes);
    code.byte(opcodes[i32].sub).tee(this.#local.limit).get(this.#local.record).byte(opcodes[i32].leSigned);
    code.branchIf(this.#budgetExitDepth());
    this.#toRecordLoop();
  }

  /** Between pages, after a jump. One that is no scheduling point still is one where it ends a page. */
  #leaveAtSchedulingPoint(isSchedulingPoint: boolean): void {
    if (isSchedulingPoint) {
      this.#leaveWhenSpent();
      return;
    }
    const code = this.#code;
    code.get(this.#local.target).byte(wrap).constant(i32, 0xfff).byte(opcodes[i32].and);
    code.constant(i32, 0).byte(opcodes[i32].eq).if();
    this.#leaveWhenSpent();
    code.end();
  }

  /** Between pages: leaves when the budget is used up. Execution continues at `target` later. */
  #leaveWhenSpent(): void {
    const code = this.#code;
    code.get(this.#local.limit).constant(i32, 0).byte(opcodes[i32].leSigned).if();
    code.get(this.#local.cpu).get(this.#local.target).memory(stores64[8][0], 3, cpuOffsets.pc);
    this.#saveState();
    code.constant(i32, exits.budget).return();
    code.end();
  }

  #checkStack({ stack, instruction }: Handler, operand: string): void {
    const code = this.#code;
    const { stackOperand = null } = this.#choices.get(instruction.name) ?? {};
    // If the stack pointer has a handler of its own, this handler never sees it.
    if (stack === null && stackOperand !== null) return;
    ifStackMisaligned(code, this.#model, recordLayout(instruction), stack, operand);
    code.branch(this.#toFunctionDepth() + 1);
    code.end();
  }
}

/** Vector instructions never have a handler in the large function. */
function refuseVector({ instruction: { name } }: Handler): never {
  throw new InvariantError(`${name} must be cold`);
}
