/** Runs the builtin guest for x86-64 on its board, as libxl of Xen makes a PVH guest. */
import { frameBytes, present } from '../../src/base/index.js';
import { builtinKernel } from '../../src/builtin_guest/x86_64/index.js';
import {
  acpiTables,
  memoryBanks,
  memoryMap,
  pvhEntry,
  specialPageAt,
  specialPages,
} from '../../src/firmware/x86_64/index.js';
import { connectBackends } from '../../src/hypervisor/index.js';
import type { CallRecord, DomainConfig } from '../../src/hypervisor/index.js';
import { apicIdOfVcpu, xenVcpuId, xenVcpuIds } from '../../src/identity/index.js';
import { x86Machine } from '../../src/machine/x86_64/index.js';
import type { X86Machine } from '../../src/machine/x86_64/index.js';

export const kernel = builtinKernel();

export interface X86Options {
  readonly vcpus?: number;
  readonly commandLine?: string;
  readonly release?: DomainConfig['release'];
  readonly seed?: number;
  readonly xenstore?: boolean;
  readonly entryVcpu?: number;
  /** Instructions at most. */
  readonly limit?: number;
  readonly initrd?: Uint8Array;
}

export interface X86Run {
  readonly machine: X86Machine;
  /** The lines of the PV console, and of Xen's console. */
  readonly lines: readonly string[];
  readonly xenLines: readonly string[];
  /** Hypercalls, with the vCPU that made them. */
  readonly calls: readonly (CallRecord & { readonly vcpu: number })[];
  /** Why the run ended, and the reason of the domain's shutdown. */
  readonly ended: string;
  readonly shutdown: number | null;
}

const frames = (start: bigint, bytes: bigint): { start: number; count: number } => ({
  start: Number(start) / frameBytes,
  count: Math.ceil(Number(bytes) / frameBytes),
});

/** Runs the guest to its end. */
export function runX86({
  vcpus = 4,
  commandLine = '',
  release = '4.17',
  seed = 1,
  xenstore = true,
  entryVcpu = 0,
  limit = 200_000_000,
  initrd,
}: X86Options = {}): X86Run {
  const hardwareIds = xenVcpuIds(vcpus).map((vcpu) => apicIdOfVcpu(vcpu));
  const banks = memoryBanks(64);
  const tables = acpiTables(hardwareIds);
  const ranges = tables.modules.map(({ at, bytes }) => ({ start: at, size: BigInt(bytes.length) }));
  const { placement } = kernel;
  const { load, startInfoAt } = pvhEntry({
    kernel: { start: BigInt(placement.loadAt), size: BigInt(kernel.memoryBytes) },
    commandLine,
    initrd: initrd ?? null,
    rsdpAt: tables.rsdpAt,
    memoryMap: memoryMap(banks, ranges),
    lowRam: present(banks[0], 'memory'),
  });
  const config: DomainConfig = {
    kind: 'pvh',
    release,
    domid: 1,
    ram: [...banks, ...ranges.toSorted((a, b) => Number(a.start - b.start)), specialPages].map(
      ({ start, size }) => frames(start, size),
    ),
    xenFrames: { start: 2 ** 28, count: 80 },
    hardwareIds,
    fifo: true,
    softReset: false,
    maxGrantFrames: 64,
    entryVcpu: xenVcpuId(entryVcpu),
  };
  const pieces: string[] = [];
  const xenLines: string[] = [];
  const calls: (CallRecord & { vcpu: number })[] = [];
  const machine = x86Machine(
    { config, seed, entry: BigInt(placement.entry), bootInformation: startInfoAt },
    {
      uart: () => undefined,
      pvConsole: (bytes) => pieces.push(String.fromCharCode(...bytes)),
      xenConsole: (line) => xenLines.push(line),
      hypercall: (vcpu, record) => calls.push({ ...record, vcpu }),
    },
  );
  machine.load(BigInt(placement.loadAt), kernel.image);
  for (const { at, bytes } of [...load, ...tables.modules]) machine.load(at, bytes);
  if (xenstore) {
    const pages = { console: specialPageAt.console, store: specialPageAt.xenstore };
    connectBackends(machine.domain, {
      name: 'domulator',
      pages: { console: Number(pages.console) / frameBytes, store: Number(pages.store) / frameBytes },
    });
  }
  const ended = machine.run(limit, 10_000_000_000n);
  return {
    machine,
    lines: pieces.join('').split('\n'),
    xenLines,
    calls,
    ended,
    shutdown: machine.domain.state.shutdown?.reason ?? null,
  };
}
