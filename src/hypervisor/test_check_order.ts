/**
 * For this module's tests: makes a call that would succeed, then with each thing wrong that the sub-operation
 * declares an error for, then with any two of them wrong at once, when the one that Xen checks first must win.
 * The entry point does not export it.
 */
import { XEN_errno_names } from '../abi/index.js';
import type { Struct } from '../abi/index.js';
import { present } from '../base/index.js';
import { xenVcpuId } from '../identity/index.js';
import type { CallerPort, Domain, DomainConfig } from './domain.js';
import type { HypercallFamily } from './hypercall.js';
import { domainToJson } from './snapshot.js';
import { hypercall } from './table.js';
import { identityPort, makeTestDomain, nowhere, poke, scratch } from './test_domain.js';

/** A call about to be made; a fault spoils it. */
export interface Attempt<A> {
  readonly domain: Domain;
  argument: A;
  address: bigint;
  cpu: CallerPort;
  /** Whatever else the family's calls carry in a register: see {@link CheckOrder.other}. */
  other: bigint;
}

export interface Fault<A> {
  /** What the call answers then: `XEN_EINVAL` and the like. */
  readonly error: string;
  /** What must be so of the domain. */
  readonly config?: Partial<DomainConfig>;
  spoil?(attempt: Attempt<A>): void;
}

export interface CheckOrder<A> {
  readonly family: HypercallFamily;
  readonly op: string;
  readonly type: Struct<unknown, A>;
  readonly config?: Partial<DomainConfig>;
  /** Brings the domain to where {@link good} succeeds. */
  prepare?(domain: Domain): void;
  good(): NoInfer<A>;
  /** The argument registers, where they are not the command and the address. */
  registers?(command: bigint, attempt: Attempt<NoInfer<A>>): bigint[];
  /** What {@link Attempt.other} is in the good call; 0 when absent. */
  readonly other?: bigint;
  /** In the order of the sub-operation's declared errors, one for each. */
  readonly faults: readonly Fault<NoInfer<A>>[];
  /** Pairs of faults, by index, that exclude each other. */
  readonly apart?: readonly (readonly [number, number])[];
}

export interface Outcome {
  /** Which faults there were, by index; none for the good call. */
  readonly faults: readonly number[];
  /** The error that must win; null for the good call. */
  readonly error: string | null;
  readonly returned: number;
  /** Whether the call left the whole domain as it was. */
  readonly unchanged: boolean;
}

/** The names of the errors that the sub-operation declares, in order. */
export function declaredErrors<A>({ family, op }: CheckOrder<A>): string[] {
  const found = family.operations.find(({ name }) => name === op);
  return present(found, op).errors.map(({ error }) => error);
}

/** What comes of the good call, of each fault, and of each pair of faults that can be together. */
export function outcomes<A>(order: CheckOrder<A>): Outcome[] {
  const singles = order.faults.map((_, i) => [i]);
  const pairs = singles.flatMap(([i = 0]) => singles.slice(i + 1).map(([j = 0]) => [i, j]));
  return [[], ...singles, ...pairs.filter((pair) => canBeTogether(order, pair))].map((which) =>
    attempt(order, which),
  );
}

function canBeTogether<A>({ faults, apart = [] }: CheckOrder<A>, [i = 0, j = 0]: number[]): boolean {
  if (apart.some(([a, b]) => a === i && b === j)) return false;
  const [first, second] = [faults[i]?.config ?? {}, faults[j]?.config ?? {}];
  return Object.entries(first).every(([key, value]) => {
    const other = (second as Record<string, unknown>)[key];
    return other === undefined || other === value;
  });
}

function attempt<A>(order: CheckOrder<A>, which: readonly number[]): Outcome {
  const faults = which.map((i) => present(order.faults[i], `fault ${i}`));
  const config = Object.assign(
    {},
    order.config,
    ...faults.map((fault) => fault.config),
  ) as Partial<DomainConfig>;
  const domain = makeTestDomain(config.kind ?? 'pvhvm', 4, { maxEvtchnPort: 12, ...config });
  order.prepare?.(domain);
  const { other = 0n } = order;
  const call: Attempt<A> = { domain, argument: order.good(), address: scratch, cpu: identityPort, other };
  for (const fault of faults) fault.spoil?.(call);
  poke(domain, order.type, call.argument);
  const before = domainToJson(domain);
  const command = present(
    order.family.operations.find(({ name }) => name === order.op),
    order.op,
  ).command;
  const args = order.registers?.(BigInt(command), call) ?? [BigInt(command), call.address];
  const { returned } = hypercall(domain, xenVcpuId(0), order.family.number, args, call.cpu);
  return {
    faults: which,
    error: faults[0]?.error ?? null,
    returned,
    unchanged: before === domainToJson(domain),
  };
}

/**
 * What is wrong with the sub-operation, a line for each complaint: errors declared otherwise than the faults say,
 * another answer than the one that must win, or a refused call that changed the domain (unless `mayChange`).
 */
export function complaints<A>(order: CheckOrder<A>, mayChange = false): string[] {
  const expected = order.faults.map(({ error }) => error);
  const declared = declaredErrors(order);
  const listed = expected.join() === declared.join() ? [] : [`declares ${declared.join()}`];
  return outcomes(order).reduce((found, { faults, error, returned, unchanged }) => {
    const answer = returned >= 0 ? null : (XEN_errno_names[-returned] ?? `${returned}`);
    if (answer !== error)
      found.push(`faults ${faults.join(' and ')}: ${answer ?? 'no error'}, not ${error ?? 'none'}`);
    if (error !== null && !unchanged && !mayChange)
      found.push(`faults ${faults.join(' and ')}: changed something`);
    return found;
  }, listed);
}

/** The argument lies where nothing can be read. */
export const unreadable: Fault<unknown> = {
  error: 'XEN_EFAULT',
  spoil: (call) => (call.address = nowhere),
};

/** The argument can be read but not written. */
export const unwritable: Fault<unknown> = {
  error: 'XEN_EFAULT',
  spoil: (call) => (call.cpu = { translate: (_vcpu, address, write) => (write ? null : address) }),
};
