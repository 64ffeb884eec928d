/** For this module's tests: a small domain, and guest memory through which its calls are made. The entry point does not export it. */
import { viewOf } from '../abi/index.js';
import type { Struct } from '../abi/index.js';
import { present, SparseMemory } from '../base/index.js';
import { apicId, mpidrOf, xenVcpuId } from '../identity/index.js';
import type { ApicId, Mpidr } from '../identity/index.js';
import { createDomain } from './create_domain.js';
import type { CallerPort, Domain, DomainConfig, GuestKind } from './domain.js';
import type { CallRecord } from './hypercall.js';
import { copyFromGuest, copyToGuest } from './physmap.js';
import { hypercall } from './table.js';

/** Guest RAM: frames 0 to 255. Xen's own frames: from 0x10000 on. */
export const testRam = { start: 0, count: 256 } as const;
export const testXenFrames = { start: 0x10000, count: 64 } as const;
/** Where the tests put the arguments of their calls: the last frame of guest RAM. */
export const scratch = 255n * 4096n;
/** A guest physical address behind which there is nothing. */
export const nowhere = 0x5000_0000n;

/** A CPU whose guest virtual addresses are guest physical ones. */
export const identityPort: CallerPort = { translate: (_vcpu, address) => address };

function testHardwareId(kind: GuestKind, id: number): ApicId | Mpidr {
  return kind === 'arm' ? mpidrOf({ aff0: id & 0xf, aff1: id >> 4 }) : apicId(2 * id);
}

/** A domain of `vcpus` vCPUs with Xen's own hardware ids; vCPU 0 runs. */
export function makeTestDomain(kind: GuestKind, vcpus = 4, overrides: Partial<DomainConfig> = {}): Domain {
  const config: DomainConfig = {
    kind,
    release: '4.17',
    domid: 1,
    ram: [testRam],
    xenFrames: testXenFrames,
    hardwareIds: Array.from({ length: vcpus }, (_, id) => testHardwareId(kind, id)),
    fifo: true,
    softReset: kind === 'pvhvm' || kind === 'pvh',
    maxGrantFrames: 8,
    entryVcpu: xenVcpuId(0),
    ...overrides,
  };
  return createDomain(config, new SparseMemory([...config.ram, config.xenFrames]));
}

/** Makes hypercall `number` as vCPU `vcpu` (a plain number here) with these argument registers. */
export function call(domain: Domain, vcpu: number, number: number, ...args: (number | bigint)[]): CallRecord {
  return hypercall(domain, xenVcpuId(vcpu), number, args.map(BigInt), identityPort);
}

/** Writes a struct to guest memory and gives its address. */
export function poke<A>(domain: Domain, type: Struct<unknown, A>, value: A, address = scratch): bigint {
  pokeBytes(domain, type.encode(value), address);
  return address;
}

/** Writes bytes to guest memory, which must be there. */
export function pokeBytes(domain: Domain, bytes: Uint8Array, address = scratch): bigint {
  const done = copyToGuest(domain, identityPort, xenVcpuId(0), address, bytes);
  present(done ? true : null, `guest memory at 0x${address.toString(16)}`);
  return address;
}

/** The struct at guest physical `address`, which must be there. */
export function peek<A>(domain: Domain, type: Struct<unknown, A>, address = scratch): A {
  return type.decode(peekBytes(domain, type.size, address));
}

/** `size` bytes of guest memory, which must be there. */
export function peekBytes(domain: Domain, size: number, address = scratch): Uint8Array {
  const bytes = copyFromGuest(domain, identityPort, xenVcpuId(0), address, size);
  return present(bytes, `guest memory at 0x${address.toString(16)}`);
}

/** A view of guest memory, for reading. */
export function peekView(domain: Domain, size: number, address = scratch): DataView {
  return viewOf(peekBytes(domain, size, address));
}
