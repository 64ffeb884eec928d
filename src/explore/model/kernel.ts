/** How a kernel takes over a domain: its CPUs by its own numbering, its memory, and nothing recorded yet. */
import type { Madt } from '../../abi/index.js';
import { InvariantError, present } from '../../base/index.js';
import type { TraceEvent } from '../../audit/index.js';
import {
  apicId,
  armCpusOfDeviceTree,
  armCpusOfMadt,
  emptyIdMap,
  linuxCpu,
  mpidr,
  numberCpus,
  xenVcpuId,
  x86CpusOfMadt,
} from '../../identity/index.js';
import type {
  AcpiUid,
  ApicId,
  HardwareId,
  Mpidr,
  NotTaken,
  NotTakenReason,
  XenVcpuId,
} from '../../identity/index.js';
import { emit, guestVcpu } from './context.js';
import type { Environment, Firmware } from './context.js';
import { allocateFrames } from './guest_memory.js';
import { kernelRam } from './platform.js';
import { enter } from './program.js';
import type { PlatformName } from '../scenario.js';
import type { CpuState, KernelState, World } from './world.js';

/** The model kernels' CONFIG_NR_CPUS: how many records there are, possible CPU or not. */
export const configNrCpus = 64;

/** FIFO: a queue for each of 16 priorities. */
const queues = 16;

/** A CPU as the kernel finds it in the tables. */
interface FoundCpu {
  readonly hardwareId: HardwareId | null;
  readonly acpiUid: AcpiUid | null;
}

interface Found {
  readonly cpus: readonly FoundCpu[];
  readonly notTaken: readonly NotTaken[];
}

/** The routine in which a kernel of each platform begins, and the one in which its other CPUs do. */
export const entryRoutines: Readonly<
  Record<PlatformName, { readonly boot: string; readonly secondary: string }>
> = {
  pv: { boot: 'pv-boot', secondary: 'pv-secondary' },
  pvhvm: { boot: 'x86-boot', secondary: 'x86-secondary' },
  pvh: { boot: 'x86-boot', secondary: 'x86-secondary' },
  arm: { boot: 'arm-boot', secondary: 'arm-secondary' },
};

/** The Linux version whose rules of numbering a model of that era follows. */
const numberingVersions = { '<=6.8': '6.1', '>=6.9': '6.12' } as const;

function findX86Cpus({ scenario }: Environment, madt: Madt, entry: XenVcpuId, apicId: ApicId): Found {
  const { cpus, notTaken } = numberCpus({
    platform: 'x86_64',
    version: numberingVersions[scenario.era.numbering],
    entries: x86CpusOfMadt(madt),
    entryApicId: apicId,
    // Xen sets the bit on vCPU 0 alone (Xen 4.17 arch/x86/hvm/vlapic.c, vlapic_reset).
    entryHasBspBit: entry === 0,
    configNrCpus,
  });
  return { cpus: cpus.map(({ apicId: id, acpiUid }) => ({ hardwareId: id, acpiUid })), notTaken };
}

function findArmCpus({ madt, deviceTree }: Firmware, entryMpidr: Mpidr): Found {
  const entries = madt === null ? [] : armCpusOfMadt(madt);
  const { cpus, notTaken } = numberCpus({
    platform: 'arm64',
    table: deviceTree === null ? 'acpi' : 'devicetree',
    entries: deviceTree === null ? entries : armCpusOfDeviceTree(deviceTree),
    entryMpidr,
    configNrCpus,
  });
  return { cpus: cpus.map(({ mpidr, acpiUid }) => ({ hardwareId: mpidr, acpiUid })), notTaken };
}

/** The CPUs that the kernel finds when it is entered on `entry`. */
function findCpus(environment: Environment, entry: XenVcpuId): Found {
  const { platform, firmware } = environment;
  const hardwareId = present(platform.hardwareIds[entry], `the hardware id of vCPU ${entry}`);
  if (platform.kind === 'arm') return findArmCpus(firmware, mpidr(hardwareId));
  if (firmware.madt !== null) return findX86Cpus(environment, firmware.madt, entry, apicId(hardwareId));
  // PV: the numbers that VCPUOP_is_up knows (arch/x86/xen/smp_pv.c, xen_fill_possible_map).
  const cpus = platform.hardwareIds.map(() => ({ hardwareId: null, acpiUid: null }));
  return { cpus: cpus.slice(0, configNrCpus), notTaken: [] };
}

const whyNotTaken: Readonly<Record<NotTakenReason, string>> = {
  'no id': 'its table entry names no CPU',
  disabled: 'its table entry is not enabled',
  duplicate: 'its hardware id was seen before',
  'x2apic below 255': 'a small APIC id in an x2APIC entry, beside entries of the old type',
  'x2apic off': 'an APIC id from 255 on, without x2APIC mode',
  'id too big': 'an APIC id from 32768 on',
  limit: `the kernel counts ${configNrCpus} CPUs at most`,
  'real BSP': 'from 6.9 on a crash kernel leaves out the first CPU of the MADT, which an INIT would reset',
  disable_cpu_apicid: 'the command line says so',
  'no enable-method': 'has no enable-method',
  'unknown enable-method': 'has an enable-method that Linux does not know',
  'no cpu-release-addr': 'has no cpu-release-addr',
  'boot CPU missing': 'the tables do not list the CPU that the kernel was entered on',
};

function newCpu(kernel: KernelState, { hardwareId, acpiUid }: FoundCpu, number: number): CpuState {
  return {
    linuxCpu: linuxCpu(number),
    hardwareId,
    acpiUid,
    online: number === 0,
    settled: number === 0,
    dead: false,
    scratchGfn: allocateFrames(kernel, 2),
    ownVcpuInfo: { gfn: allocateFrames(kernel, 1), offset: 0x40 },
    vcpuInfo: null,
    controlGfn: null,
    heads: Array.from({ length: queues }, () => 0),
    ports: {},
    initialised: false,
    callQueue: [],
    ticks: 0,
    work: null,
    nextWork: null,
  };
}

/** A kernel before its first instruction. The frame at the start of its memory holds its code. */
function newKernel(
  world: World,
  { scenario, strategies }: Environment,
  entry: XenVcpuId,
  name: string,
): KernelState {
  const index = world.guest.kernels.length;
  const { start, count } = kernelRam(scenario.platform, index);
  return {
    index,
    name,
    strategy: scenario.strategy,
    era: scenario.era,
    entryVcpu: entry,
    ram: { start, end: start + count, next: start + 1 },
    cpus: [],
    map: emptyIdMap(configNrCpus, strategies[scenario.strategy].initial),
    events: null,
    arrayGfns: [],
    sharedInfoGfn: null,
    percpuUpcall: false,
    timeReady: false,
    ports: {},
    starting: null,
    xenstore: { port: 0, answers: 0, owner: null },
    userspace: false,
    log: [],
  };
}

/** The vCPU of entry `entry` of the firmware's table, which lists them in the order of their ids. */
function vcpuOfEntry(entry: number): XenVcpuId {
  return xenVcpuId(entry);
}

/** A kernel starts on `vcpu`, which is its CPU 0 from now on. */
export function startKernel(
  world: World,
  environment: Environment,
  vcpu: XenVcpuId,
  name: string,
  events: TraceEvent[],
): void {
  const kernel = newKernel(world, environment, vcpu, name);
  const { cpus, notTaken } = findCpus(environment, vcpu);
  for (const [number, found] of cpus.entries()) kernel.cpus.push(newCpu(kernel, found, number));
  world.guest.kernels.push(kernel);
  emit(
    { world, events },
    {
      kind: 'kernel',
      kernel: kernel.index,
      name,
      entryVcpu: vcpu,
      possible: kernel.cpus.map(({ linuxCpu: cpu, hardwareId }) => ({ linuxCpu: cpu, hardwareId })),
      leftOut: notTaken.map(({ entry, reason }) => ({ vcpu: vcpuOfEntry(entry), why: whyNotTaken[reason] })),
      records: kernel.strategy === 'before-the-patch' ? 'none' : 'readable',
    },
  );
  const guest = guestVcpu(world, vcpu);
  const { boot } = entryRoutines[environment.scenario.platform];
  Object.assign(guest, { kernel: kernel.index, linuxCpu: linuxCpu(0), interrupts: [], storm: false });
  guest.frames = [enter(environment.program, boot, {})];
  emit({ world, events }, { kind: 'running', kernel: kernel.index, vcpu, linuxCpu: linuxCpu(0) });
  emit({ world, events }, { kind: 'online', kernel: kernel.index, vcpu, linuxCpu: linuxCpu(0) });
}

/** Real mode's page of a kernel, as a SIPI names it: the page number is the vector. */
export function trampolineVector(kernel: number): number {
  const vector = 0x90 + kernel;
  if (vector > 0x9f) throw new InvariantError(`kernel ${kernel} has no trampoline below 640 KiB`);
  return vector;
}

/** Where a kernel's other CPUs enter it, other than by SIPI: a guest physical address. */
export function secondaryEntry({ ram }: KernelState): bigint {
  return BigInt(ram.start) << 12n;
}

/** The kernel that has an entry for its other CPUs at `address`; null when none has. */
export function kernelAt({ guest }: World, address: bigint): KernelState | null {
  const found = guest.kernels.findLast(
    (kernel) =>
      secondaryEntry(kernel) === address || BigInt(trampolineVector(kernel.index)) << 12n === address,
  );
  return found ?? null;
}
