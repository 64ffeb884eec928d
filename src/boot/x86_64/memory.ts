/** What the plans of all amd64 guests have in common. */
import { viewOf } from '../../abi/index.js';
import { frameBytes } from '../../base/index.js';
import type { FrameRange } from '../../base/index.js';
import { specialPageAt } from '../../firmware/x86_64/index.js';
import type { Loaded } from '../../firmware/x86_64/index.js';
import type { DomainConfig } from '../../hypervisor/index.js';
import { apicIdOfVcpu, xenVcpuId, xenVcpuIds } from '../../identity/index.js';
import type { ApicId } from '../../identity/index.js';
import type { BootOptions } from '../options.js';

/** Xen's own frames begin after everything that a guest can have. */
const xenFrames = { start: 2 ** 28, count: 80 } as const;

/** An entry of the identity page table: a page of 4 MiB that is present, writable, for users, accessed and dirty. */
const identityEntry = 0xe7;

/** The table with which Xen runs a guest without paging on hosts that cannot do so (public/hvm/params.h, HVM_PARAM_IDENT_PT). */
export function loadIdentityTable(): Loaded {
  const bytes = new Uint8Array(frameBytes);
  for (let page = 0; page < 1024; page += 1) {
    viewOf(bytes).setUint32(4 * page, ((page << 22) | identityEntry) >>> 0, true);
  }
  return { at: specialPageAt.identityPageTable, bytes };
}

export function apicIdsOf(vcpus: number): ApicId[] {
  return xenVcpuIds(vcpus).map((vcpu) => apicIdOfVcpu(vcpu));
}

/** The frame number of a guest physical address. */
export function frameOf(address: bigint): number {
  return Number(address / BigInt(frameBytes));
}

/** The frames of a range in bytes. */
export function framesOf(start: bigint, bytes: bigint): FrameRange {
  return { start: frameOf(start), count: Math.ceil(Number(bytes) / frameBytes) };
}

/** The parts of the configuration that do not depend on the kind of guest. */
export function xenParts({
  vcpus,
  release,
  entryVcpu,
}: BootOptions): Pick<
  DomainConfig,
  'release' | 'domid' | 'xenFrames' | 'hardwareIds' | 'fifo' | 'maxGrantFrames' | 'entryVcpu'
> {
  return {
    release,
    domid: 1,
    xenFrames,
    hardwareIds: apicIdsOf(vcpus),
    fifo: true,
    maxGrantFrames: 64,
    entryVcpu: xenVcpuId(entryVcpu),
  };
}
