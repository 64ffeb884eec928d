/**
 * Hypercalls as a guest makes them: which registers hold what, the argument struct in guest memory, and the
 * trace of what was asked and answered.
 */
import * as abi from '../../abi/index.js';
import type { Struct } from '../../abi/index.js';
import { hypercall, withoutEffects } from '../../hypervisor/index.js';
import type { CallRecord } from '../../hypervisor/index.js';
import type { LinuxCpu } from '../../identity/index.js';
import { act, emit, phaseOf } from './context.js';
import type { StepContext } from './context.js';
import { addressOf, flatPort, loadStruct, storeStruct } from './guest_memory.js';
import type { Occasion } from './interposers.js';
import { next, step } from './program.js';
import type { Flow, Step } from './program.js';
import { answerFromOutside } from './toolstack.js';

/** An argument struct's members, as declared in abi/. */
export type Argument = Readonly<Record<string, unknown>>;

/** A hypercall as a guest asks for it. */
export interface GuestCall {
  readonly number: number;
  readonly command: number;
  /** The vCPU id of VCPUOP_*, which stands in a register; null for all others. */
  readonly vcpuId: number | null;
  /** The argument struct, which is put into guest memory; null where the register holds 0. */
  readonly argument: { readonly type: Struct<unknown, Argument>; readonly value: Argument } | null;
  /** Registers after the struct's address, or in its place where there is none. */
  readonly more: readonly bigint[];
  /** Of a call that binds a port: the CPU for which the kernel binds it. */
  readonly boundFor?: LinuxCpu;
}

/** What the guest sees of the answer. */
export interface Answer {
  /** Signed: 0 or more, or minus a XEN_E* number. */
  readonly returned: number;
  /** The argument struct as it stands in guest memory afterwards, with what an interposer made of it. */
  argument(): Argument;
}

type Value<S> = S extends Struct<unknown, infer A> ? Partial<A> : never;

function build<S extends Struct<unknown, never>>(
  number: number,
  command: number,
  type: S,
  value: Value<S>,
  more: readonly bigint[] = [],
): GuestCall {
  const argument = { type: type as unknown as Struct<unknown, Argument>, value: value as Argument };
  return { number, command, vcpuId: null, argument, more };
}

/** Any call of a command and a struct. */
export function structCall<F, A>(
  number: number,
  command: number,
  type: Struct<F, A>,
  value: Partial<A>,
): GuestCall {
  return build(number, command, type as unknown as Struct<unknown, never>, value as never);
}

/** A call of plain registers only: the command, and what follows it. */
export function plainCall(number: number, command: number, ...more: bigint[]): GuestCall {
  return { number, command, vcpuId: null, argument: null, more };
}

export function eventChannelOp<F, A>(command: number, type: Struct<F, A>, value: Partial<A>): GuestCall {
  return structCall(abi.__HYPERVISOR_event_channel_op, command, type, value);
}

export function hvmOp<F, A>(command: number, type: Struct<F, A>, value: Partial<A>): GuestCall {
  return structCall(abi.__HYPERVISOR_hvm_op, command, type, value);
}

/** VCPUOP_*: with its struct, or with none. */
export function vcpuOp(command: number, vcpuId: number): GuestCall;
export function vcpuOp<F, A>(
  command: number,
  vcpuId: number,
  type: Struct<F, A>,
  value: Partial<A>,
): GuestCall;
export function vcpuOp<F, A>(
  command: number,
  vcpuId: number,
  type?: Struct<F, A>,
  value?: Partial<A>,
): GuestCall {
  const number = abi.__HYPERVISOR_vcpu_op;
  if (type === undefined || value === undefined) return { ...plainCall(number, command), vcpuId };
  return { ...structCall(number, command, type, value), vcpuId };
}

/** The argument registers of `call`, once its struct stands at `address`. */
function registers({ command, vcpuId, argument, more }: GuestCall, address: bigint): bigint[] {
  const vcpu = vcpuId === null ? [] : [BigInt(vcpuId)];
  const struct = argument === null ? [] : [address];
  return [BigInt(command), ...vcpu, ...struct, ...more];
}

function occasionOf(context: StepContext): Occasion {
  const { world, vcpu, kernel, cpu, frame } = context;
  const { routine, step: label } = frame;
  const phase = phaseOf(context);
  return { world, vcpu, kernel: kernel.index, linuxCpu: cpu.linuxCpu, phase, routine, step: label };
}

function traceCall(context: StepContext, call: CallRecord): void {
  const { vcpu, kernel, cpu } = context;
  const phase = phaseOf(context);
  const traced = withoutEffects(call);
  emit(context, {
    kind: 'hypercall',
    kernel: kernel.index,
    vcpu,
    linuxCpu: cpu.linuxCpu,
    call: traced,
    phase,
  });
}

function traceAffinity(context: StepContext, { detail }: CallRecord, boundFor: LinuxCpu): void {
  const { vcpu, kernel } = context;
  const port = Number(detail['port'] ?? 0);
  emit(context, { kind: 'affinity', kernel: kernel.index, vcpu, linuxCpu: boundFor, port });
}

/** Makes a hypercall: the one thing that a step may do. */
export function makeCall(context: StepContext, wanted: GuestCall): Answer {
  const { world, environment, vcpu, cpu } = context;
  const { interposers } = environment;
  const occasion = occasionOf(context);
  const asked = interposers.beforeCall?.(occasion, wanted) ?? wanted;
  act(context, `hypercall ${asked.number}`);
  const { argument, number } = asked;
  const { scratchGfn } = cpu;
  if (argument !== null) storeStruct(world.domain, scratchGfn, argument.type, argument.value);
  const address = addressOf({ gfn: scratchGfn, offset: 0 });
  const honest = hypercall(world.domain, vcpu, number, registers(asked, address), flatPort);
  const record = interposers.faultyAnswer?.(occasion, honest) ?? honest;
  traceCall(context, record);
  if (asked.boundFor !== undefined) traceAffinity(context, record, asked.boundFor);
  answerFromOutside(context, record);
  const seen = interposers.afterCall?.(occasion, record) ?? record;
  const left = (): Argument => (argument === null ? {} : loadStruct(world.domain, scratchGfn, argument.type));
  return {
    returned: seen.returned,
    argument: seen === honest ? left : () => ({ ...left(), ...seen.detail }),
  };
}

/** A member of the struct that a call gave back. */
export function given(answer: Answer, member: string): number {
  return Number(answer.argument()[member]);
}

/**
 * A step that makes a call and goes on by its answer; next unless `then` says otherwise. A `make` that gives null
 * makes no call.
 */
export function callingStep(
  label: string,
  make: (context: StepContext) => GuestCall | null,
  then: (context: StepContext, answer: Answer) => Flow = () => next,
): Step {
  return step(label, (context) => {
    const wanted = make(context);
    return wanted === null ? next : then(context, makeCall(context, wanted));
  });
}
