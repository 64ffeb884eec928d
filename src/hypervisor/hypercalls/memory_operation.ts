/** How to declare a XENMEM operation: the command's upper bits contain the extent from which a long call continues. */
import type { Struct } from '../../abi/index.js';
import { operation } from '../hypercall.js';
import type { HypercallContext, Detail, ErrorRow, SubOperation } from '../hypercall.js';

/** How many bits of the first argument are the command (Xen's MEMOP_EXTENT_SHIFT). */
const commandBits = 6n;

/** The command without its start extent. */
export function memoryCommand({ args }: HypercallContext): number {
  return Number((args[0] ?? 0n) & ((1n << commandBits) - 1n));
}

/**
 * The extent from which an interrupted call continues. No call is interrupted here, so the value is 0 unless
 * the guest itself passes another one.
 */
export function startExtent({ args }: HypercallContext): bigint {
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
  precheck?(context: HypercallContext): number;
  body(context: HypercallContext, argument: A): number;
}

export function memoryOperation<A extends Detail>(definition: MemoryOperation<A>): SubOperation {
  const made = operation(definition);
  const run: SubOperation['run'] = (context, address) => {
    const refused = definition.precheck?.(context) ?? 0;
    return refused === 0 ? made.run(context, address) : { vcpuId: null, detail: {}, returned: refused };
  };
  return { ...made, run };
}
