/**
 * What firmware tables say of CPUs, in this room's terms: the MADT's entries of type 0, 9 and 11 and the device
 * tree's `/cpus`, each in the order of the table, which is the order in which Linux numbers CPUs.
 */
import {
  ACPI_MADT_ENABLED,
  ACPI_MADT_GICC_ONLINE_CAPABLE,
  ACPI_MADT_ONLINE_CAPABLE,
  cellsOf,
  deviceTreeNodeAt,
  deviceTreeProperty,
  readMadt,
  stringsOf,
} from '../abi/index.js';
import type { DeviceTree, DeviceTreeNode, Madt, MadtEntry, MadtGicc } from '../abi/index.js';
import { InputError } from '../base/index.js';
import { vcpuOfAcpiUid } from './apic.js';
import { acpiUid, apicId, broadcastApicId, everyAcpiUid, formatAcpiUid, mpidr } from './ids.js';
import type { AcpiUid, ApicId, Mpidr, XenVcpuId } from './ids.js';

/** A CPU as a MADT entry of type 0 or 9 tells of it. */
export interface X86CpuEntry {
  readonly type: 'local_apic' | 'local_x2apic';
  /** Null where the field holds the broadcast address (0xff in type 0, all ones in type 9): no such CPU. */
  readonly apicId: ApicId | null;
  /** Null where a type 9 entry holds all ones. */
  readonly acpiUid: AcpiUid | null;
  readonly enabled: boolean;
  readonly onlineCapable: boolean;
}

/** A CPU as a GICC entry or a device tree node tells of it. */
export interface ArmCpuEntry {
  /** Null where there is none, or where bits other than affinity are set (Linux takes neither). */
  readonly mpidr: Mpidr | null;
  /** Null in a device tree, and where a GICC entry holds all ones. */
  readonly acpiUid: AcpiUid | null;
  readonly enabled: boolean;
  readonly onlineCapable: boolean;
}

function uidOrNull(value: number): AcpiUid | null {
  return value === everyAcpiUid ? null : acpiUid(value);
}

/** The affinity in `value` if it holds nothing else: firmware must leave out RES1, U and MT. */
function pureAffinity(value: bigint): Mpidr | null {
  return (value & ~0xff_00ff_ffffn) === 0n ? mpidr(value) : null;
}

function x86Entry(entry: MadtEntry): X86CpuEntry[] {
  if (entry.kind !== 'local_apic' && entry.kind !== 'local_x2apic') return [];
  const flags = {
    enabled: (entry.flags & ACPI_MADT_ENABLED) !== 0,
    onlineCapable: (entry.flags & ACPI_MADT_ONLINE_CAPABLE) !== 0,
  };
  const uid = uidOrNull(entry.acpi_processor_uid);
  if (entry.kind === 'local_apic') {
    return [
      {
        type: entry.kind,
        apicId: entry.apic_id === 0xff ? null : apicId(entry.apic_id),
        acpiUid: uid,
        ...flags,
      },
    ];
  }
  const id = entry.x2apic_id === broadcastApicId ? null : apicId(entry.x2apic_id);
  return [{ type: entry.kind, apicId: id, acpiUid: uid, ...flags }];
}

/** The CPUs of a MADT's entries of type 0 and 9, in the order of the table. */
export function x86CpusOfMadt(madt: Madt): X86CpuEntry[] {
  return madt.entries.flatMap(x86Entry);
}

function giccEntry(entry: MadtGicc): ArmCpuEntry {
  return {
    mpidr: pureAffinity(entry.mpidr),
    acpiUid: uidOrNull(entry.acpi_processor_uid),
    enabled: (entry.flags & ACPI_MADT_ENABLED) !== 0,
    onlineCapable: (entry.flags & ACPI_MADT_GICC_ONLINE_CAPABLE) !== 0,
  };
}

/** The CPUs of a MADT's entries of type 11, in the order of the table. */
export function armCpusOfMadt(madt: Madt): ArmCpuEntry[] {
  return madt.entries.flatMap((entry) => (entry.kind === 'gicc' ? [giccEntry(entry)] : []));
}

function textOf(node: DeviceTreeNode, name: string): string {
  return stringsOf(deviceTreeProperty(node, name) ?? new Uint8Array())[0] ?? '';
}

/** Linux takes a child of /cpus for a CPU by its name or by its device_type (of_get_next_cpu_node). */
function isCpuNode(node: DeviceTreeNode): boolean {
  const named = node.name.split('@', 1)[0] === 'cpu' || textOf(node, 'device_type') === 'cpu';
  const status = textOf(node, 'status');
  return named && status !== 'fail' && !status.startsWith('fail-');
}

/** How many cells a CPU's `reg` has: /cpus says so, else the root, else 1 (Linux: of_n_addr_cells). */
function cpuAddressCells(tree: DeviceTree, cpus: DeviceTreeNode): number {
  for (const node of [cpus, tree.root]) {
    const value = deviceTreeProperty(node, '#address-cells');
    const words = value === undefined ? [] : cellsOf(value);
    if (words[0] !== undefined) return words[0];
  }
  return 1;
}

function regOf(node: DeviceTreeNode, addressCells: number): Mpidr | null {
  const words = cellsOf(deviceTreeProperty(node, 'reg') ?? new Uint8Array()).slice(0, addressCells);
  if (words.length !== addressCells || addressCells < 1 || addressCells > 2) return null;
  return pureAffinity(words.reduce((value, word) => (value << 32n) | BigInt(word), 0n));
}

/**
 * The CPUs of a device tree's `/cpus`, in the order of the tree. A `reg` is the CPU's affinity, and nothing else
 * (Linux Documentation/devicetree/bindings/arm/cpus.yaml). Nodes whose status begins with `fail` are left out;
 * `disabled` ones are not, for Linux counts them too.
 */
export function armCpusOfDeviceTree(tree: DeviceTree): ArmCpuEntry[] {
  const cpus = deviceTreeNodeAt(tree, '/cpus');
  if (cpus === undefined) return [];
  const addressCells = cpuAddressCells(tree, cpus);
  return cpus.children.filter(isCpuNode).map((node) => ({
    mpidr: regOf(node, addressCells),
    acpiUid: null,
    enabled: true,
    onlineCapable: false,
  }));
}

/** A vCPU that a MADT tells of. One of `apicId` and `mpidr` is null. */
export interface MadtVcpu {
  /** By Xen's promise: the ACPI processor UID. */
  readonly vcpu: XenVcpuId;
  readonly acpiUid: AcpiUid;
  readonly apicId: ApicId | null;
  readonly mpidr: Mpidr | null;
  readonly enabled: boolean;
}

/** What {@link vcpuIdsFromMadt} gives. */
export interface MadtVcpus {
  /** In the order of the table. */
  readonly vcpus: MadtVcpu[];
  /** One line for each thing that is wrong with the table; empty when all is well. */
  readonly warnings: string[];
}

function cpusOf(madt: Madt): (X86CpuEntry | ArmCpuEntry)[] {
  return madt.entries.flatMap((entry): (X86CpuEntry | ArmCpuEntry)[] =>
    entry.kind === 'gicc' ? [giccEntry(entry)] : x86Entry(entry),
  );
}

function repeatedUids(vcpus: readonly MadtVcpu[]): string[] {
  const seen = new Set<AcpiUid>();
  const repeated = new Set<AcpiUid>();
  for (const { acpiUid: uid } of vcpus) (seen.has(uid) ? repeated : seen).add(uid);
  return [...repeated].map((uid) => `more than one entry has the UID ${formatAcpiUid(uid)}`);
}

/**
 * Which Xen vCPU each CPU of a guest's MADT is: its ACPI processor UID. To x86 HVM and PVH guests Xen promises that
 * (public/hvm/hvm_info_table.h); on Arm it merely does so. `bytes` is the table whole, as Linux offers it in
 * /sys/firmware/acpi/tables/APIC. Entries of other types are passed over; an entry without a CPU (broadcast id,
 * no affinity, UID all ones) becomes a warning, and so does a wrong checksum. Throws {@link InputError} with one
 * line on anything that is not a MADT, and when the MADT has no entry of type 0, 9 or 11.
 */
export function vcpuIdsFromMadt(bytes: Uint8Array): MadtVcpus {
  const { madt, warnings } = readMadt(bytes);
  const found = cpusOf(madt);
  if (found.length === 0) throw new InputError('the MADT has no entry of type 0, 9 or 11, so no CPU');
  const vcpus = found.flatMap((cpu): MadtVcpu[] => {
    const hardware =
      'apicId' in cpu ? { apicId: cpu.apicId, mpidr: null } : { apicId: null, mpidr: cpu.mpidr };
    if (cpu.acpiUid === null || (hardware.apicId ?? hardware.mpidr) === null) return [];
    const { acpiUid: uid, enabled } = cpu;
    return [{ vcpu: vcpuOfAcpiUid(uid), acpiUid: uid, ...hardware, enabled }];
  });
  const empty = found.length - vcpus.length;
  const emptyWarning = empty === 0 ? [] : [`${empty} of ${found.length} CPU entries name no CPU`];
  return { vcpus, warnings: [...warnings, ...emptyWarning, ...repeatedUids(vcpus)] };
}
