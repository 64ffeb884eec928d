/** The machine of a scenario: the domain's configuration, the firmware's tables, and the truth about both. */
import {
  cellsValue,
  deviceTreeNode,
  GUEST_GNTTAB_BASE,
  GUEST_RAM0_BASE,
  HVM_PARAM_STORE_EVTCHN,
  HVM_PARAM_STORE_PFN,
  madtGicc,
  madtLocalApic,
  madtLocalX2apic,
  readMadt,
  stringsValue,
  writeMadt,
} from '../../abi/index.js';
import type { Arch, DeviceTree, MadtEntry } from '../../abi/index.js';
import type { Platform } from '../../audit/index.js';
import { frameBytes, SparseMemory } from '../../base/index.js';
import type { FrameRange } from '../../base/index.js';
import { createDomain, createRemoteChannel, defaultClock, setHvmParam } from '../../hypervisor/index.js';
import type { Domain, DomainConfig } from '../../hypervisor/index.js';
import { firstXenVcpu, fitsXapic, formatMpidr, hardwareIds, policyNamed } from '../../identity/index.js';
import type { ArmIds, X86Ids } from '../../identity/index.js';
import type { Firmware } from './context.js';
import type { PlatformName, Scenario } from '../scenario.js';
import { newGuestVcpu } from './world.js';
import type { World } from './world.js';

/** Guest RAM, in frames of 4 KiB: 256 MiB. */
const ramFrames = 0x10000;
/** Each kernel has 64 MiB of it to itself, from the 16th MiB on. */
const kernelFrames = 0x4000;
const firstKernelFrame = 0x1000;

/** Frames of Xen's own, which the guest sees only where Xen maps them. */
const xenFrames: FrameRange = { start: 0x1000000, count: 256 };

export function archOfPlatform(platform: PlatformName): Arch {
  return platform === 'arm' ? 'arm64' : 'x86_64';
}

/** Where guest RAM starts. */
function ramStart(platform: PlatformName): number {
  return platform === 'arm' ? Number(GUEST_RAM0_BASE) / frameBytes : 0;
}

/** The frames that the kernel of that number may use. */
export function kernelRam(platform: PlatformName, kernel: number): FrameRange {
  return { start: ramStart(platform) + firstKernelFrame + kernel * kernelFrames, count: kernelFrames };
}

/** Where the guest is to map its grant table: Arm's device tree says so; elsewhere any hole will do. */
export function grantFrame(platform: PlatformName): number {
  return platform === 'arm' ? Number(GUEST_GNTTAB_BASE) / frameBytes : ramFrames + 0x10000;
}

function idsOf({ idPolicy, platform, vcpus }: Scenario): (X86Ids | ArmIds)[] {
  return hardwareIds(policyNamed(idPolicy), archOfPlatform(platform), vcpus);
}

function hardwareIdOf(ids: X86Ids | ArmIds): X86Ids['apicId'] | ArmIds['mpidr'] {
  return 'apicId' in ids ? ids.apicId : ids.mpidr;
}

/** What the hypervisor offers, as the audit is told of it. */
export function platformOf(scenario: Scenario): Platform {
  const { platform, release, events, hypotheticalReset } = scenario;
  return {
    kind: platform,
    release,
    hardwareIds: idsOf(scenario).map(hardwareIdOf),
    fifo: events === 'fifo',
    softReset: platform === 'pvhvm' || platform === 'pvh' || (platform === 'arm' && hypotheticalReset),
  };
}

function madtEntry({ apicId, acpiUid }: X86Ids): MadtEntry {
  return fitsXapic(apicId) && acpiUid < 0xff
    ? madtLocalApic(acpiUid, apicId)
    : madtLocalX2apic(acpiUid, apicId);
}

function cpuNode({ mpidr }: ArmIds): ReturnType<typeof deviceTreeNode> {
  const unit = formatMpidr(mpidr).slice(2);
  return deviceTreeNode(`cpu@${unit}`, {
    device_type: stringsValue('cpu'),
    compatible: stringsValue('arm,armv8'),
    'enable-method': stringsValue('psci'),
    reg: cellsValue(mpidr),
  });
}

function deviceTreeOf(ids: readonly ArmIds[]): DeviceTree {
  const address = { '#address-cells': cellsValue(1), '#size-cells': cellsValue(0) };
  const cpus = deviceTreeNode('cpus', address, ids.map(cpuNode));
  return { bootCpuidPhys: 0, reservations: [], root: deviceTreeNode('', {}, [cpus]) };
}

/** The tables, in vCPU order, as Xen's toolstack writes them (libacpi build.c, libxl_arm.c). PV has none. */
export function firmwareOf(scenario: Scenario): Firmware {
  const ids = idsOf(scenario);
  const x86 = ids.filter((id) => 'apicId' in id);
  const arm = ids.filter((id) => 'mpidr' in id);
  if (scenario.platform === 'pv') return { madt: null, deviceTree: null };
  if (scenario.platform === 'arm' && scenario.tables !== 'acpi') {
    return { madt: null, deviceTree: deviceTreeOf(arm) };
  }
  const entries = [...x86.map(madtEntry), ...arm.map(({ acpiUid, mpidr }) => madtGicc(acpiUid, mpidr))];
  return { madt: readMadt(writeMadt({ entries })).madt, deviceTree: null };
}

function configOf(scenario: Scenario, platform: Platform): DomainConfig {
  return {
    kind: scenario.platform,
    release: scenario.release,
    domid: 1,
    ram: [{ start: ramStart(scenario.platform), count: ramFrames }],
    xenFrames,
    hardwareIds: platform.hardwareIds,
    fifo: platform.fifo,
    softReset: platform.softReset,
    maxGrantFrames: 4,
    entryVcpu: firstXenVcpu,
    // A host with `clocksource=tsc`: then Linux registers its time area too, one more call that names a vCPU.
    clock: { ...defaultClock, tscStable: true },
  };
}

/** The toolstack's channel for xenstore: the guest's port. A PV guest is told of it by start_info, others by parameters. */
function connectXenstore(domain: Domain, scenario: Scenario): number {
  const port = createRemoteChannel(domain, firstXenVcpu);
  if (scenario.platform === 'pv') return port;
  const page = ramStart(scenario.platform) + firstKernelFrame - 1;
  setHvmParam(domain, HVM_PARAM_STORE_EVTCHN, BigInt(port));
  setHvmParam(domain, HVM_PARAM_STORE_PFN, BigInt(page));
  return port;
}

/** The world before the guest's first instruction. Throws InputError when the scenario contradicts itself. */
export function createWorld(scenario: Scenario): World {
  const platform = platformOf(scenario);
  const config = configOf(scenario, platform);
  const domain = createDomain(config, new SparseMemory([...config.ram, xenFrames]));
  const storeEvtchn = connectXenstore(domain, scenario);
  const vcpus = platform.hardwareIds.map(newGuestVcpu);
  return { domain, guest: { kernels: [], vcpus, startInfo: { storeEvtchn }, end: null } };
}
