/**
 * The device tree that Xen 4.17 generates for an arm64 guest that it builds itself (arch/arm/domain_build.c,
 * prepare_dtb_domU): nodes, names, order and values.
 */
import {
  GUEST_EVTCHN_PPI,
  GUEST_GICC_BASE,
  GUEST_GICC_SIZE,
  GUEST_GICD_BASE,
  GUEST_GICD_SIZE,
  GUEST_GICV3_GICD_BASE,
  GUEST_GICV3_GICD_SIZE,
  GUEST_GICV3_GICR0_BASE,
  GUEST_GICV3_GICR0_SIZE,
  GUEST_GNTTAB_BASE,
  GUEST_GNTTAB_SIZE,
  GUEST_MAX_VCPUS,
  GUEST_PL011_BASE,
  GUEST_PL011_SIZE,
  GUEST_TIMER_PHYS_NS_PPI,
  GUEST_TIMER_PHYS_S_PPI,
  GUEST_TIMER_VIRT_PPI,
  GUEST_VPL011_SPI,
  PSCI_cpu_off,
  PSCI_cpu_on,
  cellsValue,
  deviceTreeNode,
  stringsValue,
} from '../../abi/index.js';
import type { DeviceTree, DeviceTreeNode } from '../../abi/index.js';
import { InputError } from '../../base/index.js';
import { mpidrOfVcpu, xenVcpuId } from '../../identity/index.js';
import type { MemoryRange } from '../memory_range.js';
import { extendedRegions } from './memory_map.js';

/** The properties of a guest that its device tree describes. */
export interface GuestDescription {
  /** 1 to 128; up to 8 with a GICv2. */
  readonly vcpus: number;
  /** RAM, see {@link memoryBanks}. */
  readonly memory: readonly MemoryRange[];
  /** The kernel's command line; may be empty. */
  readonly bootArgs: string;
  /** The first byte and the byte after the last; null for no initrd. */
  readonly initrd: { readonly start: bigint; readonly end: bigint } | null;
  /** Xen's release, such as `4.17`. */
  readonly release: string;
  readonly gic: 'v2' | 'v3';
  /** The CPU model, such as `arm,cortex-a57`. */
  readonly cpuCompatible: string;
  /** Number of guest physical address bits, which limit the extended regions. */
  readonly addressBits: number;
}

/** The description of the reference guest, except its memory, initrd and command line. */
export const guestDefaults = {
  release: '4.17',
  gic: 'v3',
  cpuCompatible: 'arm,cortex-a57',
  addressBits: 44,
} as const;

/** GUEST_PHANDLE_GIC (public/device_tree_defs.h). */
const gicPhandle = 65000;

/** The last cell of an interrupt (Linux's binding of the GIC): the trigger type, with the target CPUs above it. */
const allCpus = 0xf << 8;
const levelHigh = 4;
const levelLow = 8;

/** Maximum number of vCPUs with a GICv2. */
const gicV2Cpus = 8;

/** The cells of 64-bit addresses and sizes, two each. */
function wideCells(...values: bigint[]): Uint8Array {
  return cellsValue(...values.flatMap((value) => [Number(value >> 32n), Number(value & 0xffff_ffffn)]));
}

function rangeCells(ranges: readonly MemoryRange[]): Uint8Array {
  return wideCells(...ranges.flatMap(({ start, size }) => [start, size]));
}

/** The three cells of an interrupt: PPI or SPI, its number among these, and its trigger type. */
function interrupt(intid: number, trigger: number): number[] {
  return intid < 32 ? [1, intid - 16, allCpus | trigger] : [0, intid - 32, allCpus | trigger];
}

/** The properties of a device that raises interrupts. */
function interrupts(...cells: number[][]): Record<string, Uint8Array> {
  return { interrupts: cellsValue(...cells.flat()), 'interrupt-parent': cellsValue(gicPhandle) };
}

/** Xen always reserves space for the initrd addresses. Without an initrd they are 0. */
function chosen({ bootArgs, initrd }: GuestDescription): DeviceTreeNode {
  const { start, end } = initrd ?? { start: 0n, end: 0n };
  return deviceTreeNode('chosen', {
    ...(bootArgs === '' ? {} : { bootargs: stringsValue(bootArgs) }),
    'linux,initrd-start': wideCells(start),
    'linux,initrd-end': wideCells(end),
  });
}

function psci(): DeviceTreeNode {
  return deviceTreeNode('psci', {
    compatible: stringsValue('arm,psci-1.0', 'arm,psci-0.2', 'arm,psci'),
    method: stringsValue('hvc'),
    cpu_off: cellsValue(PSCI_cpu_off),
    cpu_on: cellsValue(PSCI_cpu_on),
  });
}

function cpu(vcpu: number, compatible: string): DeviceTreeNode {
  const mpidr = mpidrOfVcpu(xenVcpuId(vcpu));
  return deviceTreeNode(`cpu@${mpidr.toString(16)}`, {
    compatible: stringsValue(compatible),
    device_type: stringsValue('cpu'),
    reg: cellsValue(mpidr),
    'enable-method': stringsValue('psci'),
  });
}

function cpus({ vcpus, cpuCompatible }: GuestDescription): DeviceTreeNode {
  return deviceTreeNode(
    'cpus',
    { '#address-cells': cellsValue(1), '#size-cells': cellsValue(0) },
    Array.from({ length: vcpus }, (_, vcpu) => cpu(vcpu, cpuCompatible)),
  );
}

function memory(banks: readonly MemoryRange[]): DeviceTreeNode {
  return deviceTreeNode(`memory@${(banks[0]?.start ?? 0n).toString(16)}`, {
    device_type: stringsValue('memory'),
    reg: rangeCells(banks),
  });
}

/** The differences between the interrupt controllers. */
const gics = {
  v2: {
    compatible: 'arm,gic-400',
    reg: [GUEST_GICD_BASE, GUEST_GICD_SIZE, GUEST_GICC_BASE, GUEST_GICC_SIZE],
  },
  v3: {
    compatible: 'arm,gic-v3',
    reg: [GUEST_GICV3_GICD_BASE, GUEST_GICV3_GICD_SIZE, GUEST_GICV3_GICR0_BASE, GUEST_GICV3_GICR0_SIZE],
  },
} as const;

function interruptController(version: 'v2' | 'v3'): DeviceTreeNode {
  const { compatible, reg } = gics[version];
  return deviceTreeNode(`interrupt-controller@${reg[0].toString(16)}`, {
    '#address-cells': cellsValue(0),
    '#interrupt-cells': cellsValue(3),
    'interrupt-controller': new Uint8Array(),
    compatible: stringsValue(compatible),
    reg: wideCells(...reg),
    'linux,phandle': cellsValue(gicPhandle),
    phandle: cellsValue(gicPhandle),
  });
}

function timer(): DeviceTreeNode {
  const ppis = [GUEST_TIMER_PHYS_S_PPI, GUEST_TIMER_PHYS_NS_PPI, GUEST_TIMER_VIRT_PPI];
  return deviceTreeNode('timer', {
    compatible: stringsValue('arm,armv8-timer'),
    ...interrupts(...ppis.map((ppi) => interrupt(ppi, levelLow))),
  });
}

function uart(): DeviceTreeNode {
  return deviceTreeNode(`sbsa-uart@${GUEST_PL011_BASE.toString(16)}`, {
    compatible: stringsValue('arm,sbsa-uart'),
    reg: wideCells(GUEST_PL011_BASE, GUEST_PL011_SIZE),
    ...interrupts(interrupt(GUEST_VPL011_SPI, levelHigh)),
    'current-speed': cellsValue(115_200),
  });
}

function hypervisor({ release, memory: banks, addressBits }: GuestDescription): DeviceTreeNode {
  const grants = { start: GUEST_GNTTAB_BASE, size: GUEST_GNTTAB_SIZE };
  return deviceTreeNode('hypervisor', {
    compatible: stringsValue(`xen,xen-${release}`, 'xen,xen'),
    reg: rangeCells([grants, ...extendedRegions(banks, addressBits)]),
    ...interrupts(interrupt(GUEST_EVTCHN_PPI, levelLow)),
  });
}

/**
 * The device tree of a guest. Throws {@link InputError} if the interrupt controller does not support that many vCPUs,
 * or if the command line has a character above U+00FF.
 */
export function guestDeviceTree(guest: GuestDescription): DeviceTree {
  const most = guest.gic === 'v2' ? gicV2Cpus : GUEST_MAX_VCPUS;
  if (!Number.isInteger(guest.vcpus) || guest.vcpus < 1 || guest.vcpus > most) {
    throw new InputError(`a guest with a GIC${guest.gic} has 1 to ${most} vCPUs, not ${guest.vcpus}`);
  }
  if (!Array.from(guest.bootArgs).every((character) => character > '\0' && character <= '\u00ff')) {
    throw new InputError('the command line contains a character that a device tree cannot hold');
  }
  const root = deviceTreeNode('', { '#address-cells': cellsValue(2), '#size-cells': cellsValue(2) }, [
    chosen(guest),
    psci(),
    cpus(guest),
    memory(guest.memory),
    interruptController(guest.gic),
    timer(),
    uart(),
    hypervisor(guest),
  ]);
  return { bootCpuidPhys: 0, reservations: [], root };
}
