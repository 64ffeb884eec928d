/**
 * Builds the interpreter's large function: a handler for each instruction that is not cold, dispatched by `br_table`
 * over decoded records. It is generated from the definitions and names no instruction.
 *
 * No handler calls a function. Where it would need one (a TLB miss, an unaligned address), it bails out before it has
 * changed any state, and the instruction's own function runs the whole instruction. In the few calls that remain, no
 * local lives across the call: the values go through the vCPU's block. This lets the optimising compiler keep locals in
 * registers and keeps the function small, so that it is optimised early.
 *
 * The function's structure, from outside in: two blocks that lead to exits, a loop that finds the record of `target`, a loop
 * that runs one record after the other, and the blocks of the handlers.
 */
import { commonSystemCalls } from '../isa/index.js';
import type { Statement } from '../isa/index.js';
import { pushHalves } from './access_functions.js';
import type { CodeModel } from './architecture.js';
import type { Run } from './code_layout.js';
import { emitExpr, emitStatements } from './emit.js';
import type { Environment } from './emit.js';
import { handlerEnvironment } from './handler_environment.js';
import { specialCount } from './handlers.js';
import type { Handler, HandlerPlan } from './handlers.js';
import type { Host } from './host_functions.js';
import { functionStatus } from './instruction_function.js';
import { accessResults, cpuOffsets, exits, recordBytes } from './layout.js';
import { recordLayout } from './record.js';
import { RunState } from './run_state.js';
import { i32, i64, load32, opcodes } from './wasm/code.js';
import type { Code } from './wasm/code.js';

export class InterpreterBuilder extends RunState implements Run {
  readonly #model: CodeModel;
  readonly #plan: HandlerPlan;
  readonly #host: Host;
  /** Number of open blocks inside the innermost handler block. */
  #nesting = 0;
  /** Number of handler blocks that are open at the current position. */
  #openHandlers = 0;
  /** The type index of the instructions' own functions. */
  readonly #functionType: number;

  constructor(plan: HandlerPlan, model: CodeModel, host: Host, functionType: number) {
    super(model.flags);
    this.#model = model;
    this.#plan = plan;
    this.#host = host;
    this.#functionType = functionType;
  }

  build(): Code {
    const { code, local } = this;
    const { layout } = this.#model;
    const { handlers, hot } = this.#plan;
    this.load();
    code.block(); // left when the budget is used up
    code.block(); // left when the host stops the run within an instruction
    code.loop();
    layout.findRecord(this);
    code.loop();
    const count = hot + specialCount;
    for (let open = 0; open <= count; open += 1) code.block();
    code.get(local.record).memory(load32.half, 1, 0);
    code.branchTable([...Array(count).keys()], count);
    this.#openHandlers = count + 1;
    this.#special(() => layout.notDecoded(this));
    this.#special(() => layout.endOfRun(this));
    this.#special(() => this.#leaveBy('undefined'));
    this.#special(() => this.#leaveBy('vectorTrap'));
    for (const handler of handlers.slice(0, hot)) this.#handler(handler);
    this.#special(() => this.#callFunction());
    code.end(); // record loop
    code.end(); // page loop
    code.end(); // stopped by the host
    this.#savePosition();
    this.leavePage(1);
    this.save();
    code.constant(i32, exits.host).return();
    code.end(); // budget used up: record already points to the next instruction
    this.#savePosition();
    this.leavePage(0);
    this.save();
    return code.constant(i32, exits.budget);
  }

  // Branches to the outer structures, from the current position.

  #inner(): number {
    return this.#nesting + this.#openHandlers;
  }

  toRecordLoop(): void {
    this.code.branch(this.#inner());
  }

  toPageLoop(): void {
    this.code.branch(this.#inner() + 1);
  }

  #toHostExit(): void {
    this.code.branch(this.#inner() + 2);
  }

  #toHostExitIf(): void {
    this.code.branchIf(this.#inner() + 2);
  }

  leaveIf(): void {
    this.code.branchIf(this.#inner() + 3);
  }

  /** Lets the instruction's own function run it; in a handler, before it has changed anything. */
  giveUp(): void {
    this.code.branch(this.#inner() - 1);
  }

  /** Pops a condition, and gives up if it is true. */
  giveUpIf(): void {
    this.code.branchIf(this.#inner() - 1);
  }

  /** Called for every block that is opened (1) or closed (-1) in a handler. */
  nest(by: 1 | -1): void {
    this.#nesting += by;
  }

  when(write: () => void): void {
    this.code.if();
    this.nest(1);
    write();
    this.nest(-1);
    this.code.end();
  }

  #special(write: () => void): void {
    this.code.end();
    this.#openHandlers -= 1;
    write();
  }

  pushPc(): void {
    this.#model.layout.pushPc(this);
  }

  /** Saves the address of the current instruction as pc. */
  #savePosition(): void {
    this.code.get(this.local.cpu);
    this.pushPc();
    this.storePc();
  }

  fetch(): void {
    const { code, local } = this;
    this.saveForFetch();
    code.get(local.cpu);
    pushHalves(code, local.target);
    code.call(this.#host.fetch).set(local.entry);
    this.loadAfterFetch();
    code.get(local.entry).constant(i32, accessResults.faulted).byte(opcodes[i32].eq).if();
    // An instruction that cannot be fetched counts too, so that a guest in a fault loop uses up its budget.
    code.get(local.limit).constant(i32, recordBytes).byte(opcodes[i32].sub).set(local.limit);
    this.save();
    code.constant(i32, exits.host).return();
    code.end();
  }

  decode(): void {
    this.saveLocals();
    this.code.get(this.local.record).call(this.#host.decode);
    this.loadLocals();
    this.toRecordLoop();
  }

  /** Calls the host for an operation that always exits to the host. */
  #leaveBy(name: (typeof commonSystemCalls)[number]): void {
    const { code, local } = this;
    this.#savePosition();
    this.saveLocals();
    code.get(local.cpu).constant(i32, commonSystemCalls.indexOf(name)).constant(i64, 0).constant(i64, 0);
    code.call(this.#host.system).set(local.entry);
    this.loadLocals();
    this.#toHostExit();
  }

  #handler(handler: Handler): void {
    this.#special(() => {
      const { semantics } = handler.instruction;
      emitStatements(handlerEnvironment(this, handler, this.#model, this.#plan), semantics.statements);
      this.#advance();
    });
  }

  /**
   * Runs the current record by its instruction's function. Entry 0 of the table is the function of the first such
   * handler.
   */
  #callFunction(): void {
    const { code, local } = this;
    this.saveLocals();
    code.get(local.cpu).get(local.record);
    this.pushPc();
    const firstCalled = this.#plan.unfailing + specialCount;
    code.get(local.record).memory(load32.half, 1, 0).constant(i32, firstCalled);
    code.byte(opcodes[i32].sub).callIndirect(this.#functionType).set(local.entry);
    this.loadPosition();
    code.get(local.entry);
    this.when(() => {
      this.loadFlags();
      code.get(local.entry).constant(i32, 0).byte(opcodes[i32].ltSigned);
      this.#toHostExitIf();
      this.#goOnAtPc(functionStatus.jump, true);
      this.#goOnAtPc(functionStatus.refetch, false);
    });
    this.#advance();
  }

  /** Where the function's status is `status`: goes on at the pc in the vCPU's block. */
  #goOnAtPc(status: number, isSchedulingPoint: boolean): void {
    const { code, local } = this;
    code.get(local.entry).constant(i32, status).byte(opcodes[i32].eq);
    this.when(() => {
      this.loadLong(cpuOffsets.pc, local.target);
      this.#goToTarget(isSchedulingPoint);
    });
  }

  #advance(): void {
    const { code, local } = this;
    code.get(local.record).constant(i32, recordBytes).byte(opcodes[i32].add).set(local.record);
    this.toRecordLoop();
  }

  /** A jump of the handler's instruction. */
  jump(
    e: Environment,
    { near, instruction }: Handler,
    { target, isSchedulingPoint }: Extract<Statement, { op: 'jump' }>,
  ): void {
    if (near !== null) {
      this.#model.layout.jumpNear(this, recordLayout(instruction), near);
      return;
    }
    emitExpr(e, target);
    this.code.set(this.local.target);
    this.#goToTarget(isSchedulingPoint);
  }

  /** Leaves the page behind the current instruction. A jump that is no scheduling point still is one where it ends a page. */
  #goToTarget(isSchedulingPoint: boolean): void {
    this.leavePage(1);
    if (isSchedulingPoint) {
      this.leaveWhenSpent();
    } else {
      this.#model.layout.pushEndsPage(this);
      this.code.if();
      this.leaveWhenSpent();
      this.code.end();
    }
    this.toPageLoop();
  }

  leaveWhenSpent(): void {
    const { code, local } = this;
    code.get(local.limit).constant(i32, 0).byte(opcodes[i32].leSigned).if();
    code.get(local.cpu).get(local.target);
    this.storePc();
    this.save();
    code.constant(i32, exits.budget).return();
    code.end();
  }
}
