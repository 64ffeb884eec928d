/** How one XENMEM operation is written: the command's upper bits say from which extent a long call goes on. */
import type { Struct } from '../../abi/index.js';
import { operation } from '../hypercall.js';
import type { CallContext, Detail, ErrorRow, SubOperation } from '../hypercall.js';

/** How many bits of the first argument are the command (Xen's MEMOP_EXTENT_SHIFT). */
const commandBits = 6n;

/** The command without its start extent. */
export function memoryCommand({ args }: CallContext): number {
  return Number((args[0] ?? 0n) & ((1n << commandBits) - 1n));
}

/**
 * The extent from which a call goes on that Xen interrupted. Nothing is interrupted here, so that only a guest
 * that makes one up passes anything but 0.
 */
export function startExtent({ args }: CallContext): bigint {
  return BigInt.asUintN(64, args[0] ?? 0n) >> commandBits;
}

export const fault: ErrorRow = { error: 'XEN_EFAULT', when: 'the argument cannot be read' };
export const notContinued: ErrorRow = { error: 'XEN_EINVAL', when: 'the command has a start extent' };

export interface MemoryOperation<A> {
  readonly name: string;
  readonly command: number;
  readonly source: string;
  readonly argument: Struct<unknown, A>;
  readonly copyBack?: boolean;
  readonly errors: readonly ErrorRow[];
  /** What Xen checks before it reads the argument: 0, or minus an error. */
  precheck?(context: CallContext): number;
  body(context: CallContext, argument: A): number;
}

export function memoryOperation<A extends Detail>(definition: MemoryOperation<A>): SubOperation {
  const made = operation(definition);
  const run: SubOperation['run'] = (context, address) => {
    const refused = definition.precheck?.(context) ?? 0;
    return refused === 0 ? made.run(context, address) : { vcpuId: null, detail: {}, returned: refused };
  };
  return { ...made, run };
}
