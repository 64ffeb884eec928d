/**
 * Builds the interpreter's large function: a handler for each instruction that is not cold, reached by `br_table` over
 * decoded records. It comes from the definitions alone and knows no instruction by name.
 *
 * No handler calls anything: where it would (the TLB does not know a page, an address is not aligned), it gives up before
 * it has changed anything, and the instruction's own function does all of it. The few calls that are left have nothing in
 * locals across them: what the locals hold goes through the vCPU's block. So the optimising compiler can keep them in
 * registers, and the function stays small, which is how soon it is optimised.
 *
 * The function's shape, from outside in: two blocks that are left towards an exit, a loop that finds the records of
 * the page that `target` lies in, a loop that takes one record after the other, and the handlers' blocks.
 */
import { InvariantError } from '../base/index.js';
import { systemCalls } from '../isa/index.js';
import type { Statement, SystemCall } from '../isa/index.js';
import { pushHalves } from './access_functions.js';
import { coldStatus } from './cold.js';
import { emitExpr, emitStatements } from './emit.js';
import type { Environment } from './emit.js';
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

/** The function's locals; the instructions' own come after them. */
const local = {
  cpu: 0,
  record: 1,
  /** The TLB set in use. */
  tlb: 2,
  /**
   * Within a page: the record at which the budget would be used up, if all records from the present one on were run one
   * after the other. Between pages: 16 times the budget (a record is 16 bytes). So that instructions need not be counted.
   */
  limit: 3,
  c: 4,
  entry: 5,
  /** What must be added to a quarter of a record's place to get the address of its instruction. */
  pcBase: 6,
  target: 7,
  n: 8,
  z: 9,
  v: 10,
  address: 11,
  value: 12,
} as const;
const localTypes: readonly ValueType[] = [i32, i32, i32, i32, i32, i64, i64, i64, i64, i64, i64, i64];
const firstFree = 13;

export class InterpreterBuilder {
  readonly #code = new Code();
  readonly #handlers: readonly Handler[];
  readonly #choices: HandlerPlan['choices'];
  readonly #host: Host;
  /** Blocks open inside the handler blocks' innermost place. */
  #nesting = 0;
  /** Handler blocks still open around what is being written. */
  #openHandlers = 0;
  /** Shared by all handlers: no two instructions are run at once. */
  readonly #pool = new LocalPool(firstFree);

  /** How many handlers are in this function. */
  readonly #hotCount: number;
  /** The first that has a function of its own. */
  readonly #firstCalled: number;
  /** The type of those functions, by number. */
  readonly #coldType: number;

  constructor({ handlers, choices, hot, unfailing }: HandlerPlan, host: Host, coldTypeIndex: number) {
    this.#choices = choices;
    this.#handlers = handlers.slice(0, hot);
    this.#host = host;
    this.#hotCount = hot + specialCount;
    this.#firstCalled = unfailing + specialCount;
    this.#coldType = coldTypeIndex;
  }

  /** The types of all locals beyond the parameter. */
  get locals(): readonly ValueType[] {
    return [...localTypes, ...this.#pool.types];
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
    code.get(local.record).memory(load32.half, 1, 0);
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
    code.end(); // budget used up: record already stands at the next instruction
    this.#savePosition();
    this.#leavePage(0);
    this.#saveState();
    return code.constant(i32, exits.budget);
  }

  // Depths of the outer structures, from where the writing stands.

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

  /** To where the present record's instruction is done by its own function: behind the last handler. */
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
    code.get(local.cpu).memory(load32.word, 2, cpuOffsets.budget).constant(i32, 4).byte(opcodes[i32].shl);
    code.set(local.limit);
    this.#loadWord(cpuOffsets.tlb, local.tlb);
    this.#loadLong(cpuOffsets.pc, local.target);
  }

  #loadWord(offset: number, into: number): void {
    this.#code.get(local.cpu).memory(load32.word, 2, offset).set(into);
  }

  #loadLong(offset: number, into: number): void {
    this.#code.get(local.cpu).memory(loads64[8][0], 3, offset).set(into);
  }

  /** Between pages: saves flags and budget. */
  #saveState(): void {
    this.#saveFlags();
    const code = this.#code.get(local.cpu);
    code.get(local.limit).constant(i32, 4).byte(opcodes[i32].shrSigned);
    code.memory(store32, 2, cpuOffsets.budget);
  }

  #loadFlags(): void {
    for (const flag of ['n', 'z', 'v'] as const) this.#loadLong(cpuOffsets[flag], local[flag]);
    this.#loadWord(cpuOffsets.c, local.c);
  }

  #saveFlags(): void {
    const code = this.#code;
    for (const flag of ['n', 'z', 'v'] as const) {
      code.get(local.cpu).get(local[flag]).memory(stores64[8][0], 3, cpuOffsets[flag]);
    }
    code.get(local.cpu).get(local.c).memory(store32, 2, cpuOffsets.c);
  }

  /** Stores the address of the present record's instruction as pc. */
  #savePosition(): void {
    this.#code.get(local.cpu);
    this.#pushPc();
    this.#code.memory(stores64[8][0], 3, cpuOffsets.pc);
  }

  /** Within a page: what the locals hold goes to the vCPU's block, which also says what was used of the budget. */
  #saveLocals(): void {
    this.#saveFlags();
    this.#saveRun();
  }

  #saveRun(): void {
    const code = this.#code;
    code.get(local.cpu).get(local.limit).memory(store32, 2, cpuOffsets.limit);
    code.get(local.cpu).get(local.record).memory(store32, 2, cpuOffsets.record);
    code.get(local.cpu).get(local.pcBase).memory(stores64[8][0], 3, cpuOffsets.pcBase);
  }

  /** And comes back: the host may have changed flags, and cut the budget short. */
  #loadLocals(): void {
    this.#loadFlags();
    this.#loadRun();
  }

  #loadRun(): void {
    this.#loadWord(cpuOffsets.limit, local.limit);
    this.#loadWord(cpuOffsets.record, local.record);
    this.#loadLong(cpuOffsets.pcBase, local.pcBase);
    this.#loadWord(cpuOffsets.tlb, local.tlb);
  }

  #pushPc(): void {
    this.#code
      .get(local.record)
      .constant(i32, 2)
      .byte(opcodes[i32].shrUnsigned)
      .byte(extendUnsigned)
      .get(local.pcBase)
      .byte(opcodes[i64].add);
  }

  /** Leaves the page: the limit becomes what is left of the budget after the records up to the present one, and `more`. */
  #leavePage(more: number): void {
    const code = this.#code;
    code.get(local.limit).get(local.record).byte(opcodes[i32].sub);
    if (more !== 0) code.constant(i32, more * recordBytes).byte(opcodes[i32].sub);
    code.set(local.limit);
  }

  /** At the page loop's head: finds the records of the page of `target`, and the record there. */
  #findPage(): void {
    const code = this.#code;
    // An entry is 2^4 bytes and a page 2^12.
    code.get(local.target).constant(i64, 8).byte(opcodes[i64].shrUnsigned).byte(wrap);
    code.constant(i32, (codeTlbEntries - 1) * tlbEntry.bytes).byte(opcodes[i32].and);
    code.get(local.tlb).byte(opcodes[i32].add).tee(local.entry);
    code.memory(loads64[8][0], 3, tlbOffsets.code);
    // The low two bits stay in, so that an unaligned target matches no entry.
    code.get(local.target).constant(i64, ~0xffcn).byte(opcodes[i64].and).byte(opcodes[i64].ne);
    code.if();
    this.#fetchPage();
    code.else();
    code
      .get(local.entry)
      .memory(load32.word, 2, tlbOffsets.code + tlbEntry.place)
      .set(local.entry);
    code.end();
    code.get(local.target).byte(wrap).constant(i32, 0xffc).byte(opcodes[i32].and);
    code.constant(i32, 2).byte(opcodes[i32].shl).get(local.entry).byte(opcodes[i32].add).tee(local.record);
    code.get(local.limit).byte(opcodes[i32].add).set(local.limit);
    code.get(local.target).constant(i64, ~0xfffn).byte(opcodes[i64].and);
    code.get(local.entry).constant(i32, 2).byte(opcodes[i32].shrUnsigned).byte(extendUnsigned);
    code.byte(opcodes[i64].sub).set(local.pcBase);
  }

  #fetchPage(): void {
    const code = this.#code;
    code.get(local.cpu).get(local.target).memory(stores64[8][0], 3, cpuOffsets.pc);
    this.#saveFlags();
    // Between pages, the limit is 16 times the budget, as if the present record were at 0.
    code.get(local.cpu).get(local.limit).memory(store32, 2, cpuOffsets.limit);
    code.get(local.cpu).constant(i32, 0).memory(store32, 2, cpuOffsets.record);
    code.get(local.cpu);
    pushHalves(code, local.target);
    code.call(this.#host.fetch).set(local.entry);
    this.#loadFlags();
    this.#loadWord(cpuOffsets.limit, local.limit);
    this.#loadWord(cpuOffsets.tlb, local.tlb);
    this.#loadLong(cpuOffsets.pc, local.target);
    code.get(local.entry).constant(i32, accessResults.faulted).byte(opcodes[i32].eq).if();
    // An instruction that cannot be fetched counts too: no guest runs for ever on nothing.
    code.get(local.limit).constant(i32, recordBytes).byte(opcodes[i32].sub).set(local.limit);
    this.#saveState();
    code.constant(i32, exits.host).return();
    code.end();
  }

  #decodeRecord(): void {
    this.#saveLocals();
    this.#code.get(local.record).call(this.#host.decode);
    this.#loadLocals();
    this.#toRecordLoop();
  }

  #goToNextPage(): void {
    this.#pushPc();
    this.#code.set(local.target);
    this.#leavePage(0);
    this.#leaveWhenSpent();
    this.#toPageLoop();
  }

  /** Asks the host for what leaves the run. */
  #leaveBy(name: SystemCall): void {
    const code = this.#code;
    this.#savePosition();
    this.#saveLocals();
    code.get(local.cpu).constant(i32, systemCalls.indexOf(name)).constant(i64, 0).constant(i64, 0);
    code.call(this.#host.system).set(local.entry);
    this.#loadLocals();
    this.#toHostExit();
  }

  #handler(handler: Handler): void {
    this.#special(() => {
      emitStatements(this.#environment(handler), handler.instruction.semantics.statements);
      this.#advance();
    });
  }

  /** Has the present record's instruction done by its function: the table begins with that of the first that has one. */
  #callFunction(): void {
    const code = this.#code;
    this.#saveLocals();
    code.get(local.cpu).get(local.record);
    this.#pushPc();
    code.get(local.record).memory(load32.half, 1, 0).constant(i32, this.#firstCalled);
    code.byte(opcodes[i32].sub).callIndirect(this.#coldType).set(local.entry);
    this.#loadRun();
    code.get(local.entry).if();
    this.#nesting += 1;
    this.#loadFlags();
    code
      .get(local.entry)
      .constant(i32, 0)
      .byte(opcodes[i32].ltSigned)
      .branchIf(this.#inner() + 2);
    code.get(local.entry).constant(i32, coldStatus.jump).byte(opcodes[i32].eq).if();
    this.#nesting += 1;
    this.#loadLong(cpuOffsets.pc, local.target);
    this.#leavePage(1);
    this.#leaveWhenSpent();
    this.#toPageLoop();
    this.#nesting -= 2;
    code.end().end();
    this.#advance();
  }

  #advance(): void {
    this.#code.get(local.record).constant(i32, recordBytes).byte(opcodes[i32].add).set(local.record);
    this.#toRecordLoop();
  }

  #environment(handler: Handler): Environment {
    const code = this.#code;
    const environment: Environment = {
      code,
      cpu: local.cpu,
      flags: { n: local.n, z: local.z, c: local.c, v: local.v },
      ...operandReader(code, recordLayout(handler.instruction), handler.stack, local),
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
    return { locals: { ...local, vector: -1 }, missed: { giveUpIf } };
  }

  #jump(
    e: Environment,
    { near, instruction }: Handler,
    { target }: Extract<Statement, { op: 'jump' }>,
  ): void {
    const code = this.#code;
    if (near === null) {
      emitExpr(e, target);
      code.set(local.target);
      this.#leavePage(1);
      this.#leaveWhenSpent();
      this.#toPageLoop();
      return;
    }
    // A record is four times as large as its instruction.
    code
      .get(local.record)
      .memory(load32.word, 2, recordLayout(instruction)[near]?.at ?? 0)
      .constant(i32, 2)
      .byte(opcodes[i32].shl);
    code.tee(local.entry).get(local.record).byte(opcodes[i32].add).set(local.record);
    // The limit moves as far, less the one record that was run.
    code.get(local.limit).get(local.entry).byte(opcodes[i32].add).constant(i32, recordBytes);
    code.byte(opcodes[i32].sub).tee(local.limit).get(local.record).byte(opcodes[i32].leSigned);
    code.branchIf(this.#budgetExitDepth());
    this.#toRecordLoop();
  }

  /** Between pages: leaves the run when the budget is used up, to go on at `target`. */
  #leaveWhenSpent(): void {
    const code = this.#code;
    code.get(local.limit).constant(i32, 0).byte(opcodes[i32].leSigned).if();
    code.get(local.cpu).get(local.target).memory(stores64[8][0], 3, cpuOffsets.pc);
    this.#saveState();
    code.constant(i32, exits.budget).return();
    code.end();
  }

  #checkStack({ stack, instruction }: Handler, operand: string): void {
    const code = this.#code;
    const { stackOperand = null } = this.#choices.get(instruction.name) ?? {};
    // Where there is a handler for the stack pointer, this one never has it.
    if (stack === null && stackOperand !== null) return;
    ifStackMisaligned(code, recordLayout(instruction), stack, operand);
    code.branch(this.#toFunctionDepth() + 1);
    code.end();
  }
}

/** The large function has no place for vectors. */
function refuseVector({ instruction: { name } }: Handler): never {
  throw new InvariantError(`${name} must be cold`);
}
