/**
 * How hypercalls are declared and made. A family (`event_channel_op`) is a number and its
 * sub-operations. A sub-operation is a command number, an argument struct, a body, and the possible errors in
 * the order in which Xen checks for them. The table of all families is in table.ts.
 */
import { viewOf, XEN_EFAULT } from '../abi/index.js';
import type { Struct } from '../abi/index.js';
import type { CallerPort, Domain, VcpuState } from './domain.js';
import type { CallEffect } from './effects.js';
import { notModelled } from './not_modelled.js';
import { copyFromGuest, copyToGuest, takeMapChange } from './physmap.js';

/** The input of a hypercall's body. */
export interface HypercallContext {
  readonly domain: Domain;
  readonly cpu: CallerPort;
  /** The vCPU that makes the call (Xen's `current`). */
  readonly caller: VcpuState;
  /** The five argument registers, unsigned 64-bit. */
  readonly args: readonly bigint[];
}

/** One possible error of a sub-operation. */
export interface ErrorRow {
  /** `XEN_ENOENT` and the like, by name. */
  readonly error: string;
  readonly when: string;
  /** The releases that have it (default: all). */
  readonly releases?: readonly string[];
}

export type Detail = Readonly<Record<string, unknown>>;

/** What a call did, for the trace and the audit. */
export interface CallRecord {
  /** `event_channel_op`, or `hypercall_57` for a number that is not in the table. */
  readonly hypercall: string;
  /** `EVTCHNOP_init_control`; the family's name if it has no sub-operations or the command is unknown. */
  readonly op: string;
  /** The vCPU id that the call carries, unsigned 32-bit as the guest passed it; null when it carries none. */
  readonly vcpuId: number | null;
  /** The decoded argument struct as it was passed, with the fields that Xen filled in. */
  readonly detail: Detail;
  /** The answer, signed: 0 or more, or minus a XEN_E* number. */
  readonly returned: number;
  /**
   * The call is not finished: Xen was interrupted, and makes the vCPU repeat it with these argument registers, the
   * same number, and the same program counter (hypercall_create_continuation). `returned` is not valid then.
   */
  readonly again?: readonly bigint[];
  /** The name of a call that Xen has and that is not modelled; `returned` is then our refusal (not_modelled.ts). */
  readonly notModelled?: string;
  /** What the call changed (default: nothing that a {@link CallEffect} tells). A refused call may have had effects before its error. */
  readonly effects?: readonly CallEffect[];
}

/** The call as a trace holds it: what was asked and answered, so that the audit judges by that alone. */
export function withoutEffects(record: CallRecord): CallRecord {
  if (record.effects === undefined) return record;
  const call: { effects?: CallRecord['effects'] } & CallRecord = { ...record };
  delete call.effects;
  return call;
}

/** What an operation's `run` tells of the call. */
export type CallOutcome = Omit<CallRecord, 'hypercall' | 'op'>;

/** `outcome` with its effects; none are noted as no field, so that records without effects stay small. */
function withEffects<O extends object>(outcome: O, effects: readonly CallEffect[] | undefined): O {
  return effects === undefined || effects.length === 0 ? outcome : { ...outcome, effects };
}

export interface SubOperation {
  readonly name: string;
  readonly command: number;
  /** The public header or source file whose rules the body follows. */
  readonly source: string;
  readonly errors: readonly ErrorRow[];
  run(context: HypercallContext, argument: bigint): CallOutcome;
}

/** The declaration of a sub-operation: `A` is the type of its argument struct. */
export interface SubOperationOf<A extends Detail> {
  readonly name: string;
  readonly command: number;
  readonly source: string;
  /** Copied in from the guest before the body runs; -XEN_EFAULT if that fails. */
  readonly argument: Struct<unknown, A>;
  /** Whether the struct is copied back to the guest when the body answers 0 or more. */
  readonly copyBack?: boolean;
  /** The vCPU id that the argument carries. */
  vcpuId?(argument: A): number;
  readonly errors: readonly ErrorRow[];
  /** The answer: 0 or more, or minus a XEN_E* number. May change `argument` (see copyBack). */
  body(context: HypercallContext, argument: A): number;
  /** What the call changed, if `body` answered 0 or more; `argument` is as the body left it. */
  effects?(context: HypercallContext, argument: A): readonly CallEffect[];
}

/** The struct at the guest virtual address in an argument register; null if the access would fault. */
export function copyIn<A>(
  { domain, cpu, caller }: HypercallContext,
  type: Struct<unknown, A>,
  address: bigint,
): A | null {
  const bytes = copyFromGuest(domain, cpu, caller.id, address, type.size);
  return bytes === null ? null : type.decode(bytes);
}

/** Writes a struct to guest virtual `address`; false if the access would fault. */
export function copyOut<A>(
  { domain, cpu, caller }: HypercallContext,
  type: Struct<unknown, A>,
  address: bigint,
  value: A,
): boolean {
  return copyToGuest(domain, cpu, caller.id, address, type.encode(value));
}

/** Declares a sub-operation whose argument is a struct in guest memory. */
export function operation<A extends Detail>(definition: SubOperationOf<A>): SubOperation {
  const { name, command, source, errors, argument: type, copyBack = false } = definition;
  const run: SubOperation['run'] = (context, address) => {
    const { domain, cpu, caller } = context;
    const bytes = copyFromGuest(domain, cpu, caller.id, address, type.size);
    if (bytes === null) return { vcpuId: null, detail: {}, returned: -XEN_EFAULT };
    const argument = type.decode(bytes);
    const vcpuId = definition.vcpuId?.(argument) ?? null;
    const passed = { ...argument };
    const answer = definition.body(context, argument);
    // Encoded over the bytes that were passed: padding, and union members that the body did not set, stay unchanged.
    if (copyBack) type.write(viewOf(bytes), 0, argument);
    const delivered = answer < 0 || !copyBack || copyToGuest(domain, cpu, caller.id, address, bytes);
    const returned = delivered ? answer : -XEN_EFAULT;
    const outcome = { vcpuId, detail: copyBack && returned >= 0 ? { ...argument } : passed, returned };
    return withEffects(outcome, answer < 0 ? undefined : definition.effects?.(context, argument));
  };
  return { name, command, source, errors, run };
}

/** Declares a sub-operation without an argument struct, or one that reads its argument itself. */
export function plainOperation(definition: {
  readonly name: string;
  readonly command: number;
  readonly source: string;
  readonly errors: readonly ErrorRow[];
  vcpuId?(context: HypercallContext): number;
  body(context: HypercallContext, argument: bigint): number | Omit<CallOutcome, 'vcpuId'>;
  /** What the call changed, if `body` answered 0 or more. */
  effects?(context: HypercallContext): readonly CallEffect[];
}): SubOperation {
  const { name, command, source, errors } = definition;
  const run: SubOperation['run'] = (context, address) => {
    const vcpuId = definition.vcpuId?.(context) ?? null;
    const answer = definition.body(context, address);
    const outcome =
      typeof answer === 'number' ? { vcpuId, detail: {}, returned: answer } : { vcpuId, ...answer };
    return withEffects(outcome, outcome.returned < 0 ? undefined : definition.effects?.(context));
  };
  return { name, command, source, errors, run };
}

/** A hypercall number and its operations. */
export interface HypercallFamily {
  readonly name: string;
  readonly number: number;
  /** The argument register (0 to 4) that contains the address passed to `run`. */
  readonly argumentRegister: number;
  readonly operations: readonly SubOperation[];
  /** How to get the command (default: the low 32 bits of the first argument register). */
  commandOf?(context: HypercallContext): number;
  /** The answer to a command that is not in `operations`, minus a XEN_E* number. */
  unknown(context: HypercallContext): number;
}

/** `refusal`, and the name of the call if Xen has it. */
export function markNotModelled(
  refusal: CallRecord,
  domain: Domain,
  number: number,
  command: number,
): CallRecord {
  const name = notModelled(domain, number, command);
  return name === null ? refusal : { ...refusal, notModelled: name };
}

/** Makes the call whose command is in the first argument register. */
export function callFamily(family: HypercallFamily, context: HypercallContext): CallRecord {
  const command = family.commandOf?.(context) ?? Number(BigInt.asUintN(32, context.args[0] ?? 0n));
  const found = family.operations.find((candidate) => candidate.command === command);
  if (found === undefined) {
    const returned = family.unknown(context);
    const refusal = { hypercall: family.name, op: family.name, vcpuId: null, detail: { command }, returned };
    return markNotModelled(refusal, context.domain, family.number, command);
  }
  const outcome = found.run(context, context.args[family.argumentRegister] ?? 0n);
  // Not by a spread: see TraceWriter.write.
  const record: CallRecord = Object.assign(outcome, { hypercall: family.name, op: found.name });
  if (!takeMapChange(context.domain)) return record;
  return { ...record, effects: [{ kind: 'memoryMap' }, ...(outcome.effects ?? [])] };
}

/** The domain's vCPU of that id, as the guest passed it (unsigned 32-bit); null when there is none. */
export function domainVcpu({ state }: Domain, vcpuId: number): VcpuState | null {
  return state.vcpus[vcpuId] ?? null;
}
