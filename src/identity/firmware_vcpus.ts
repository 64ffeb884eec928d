/** The Xen vCPU of each CPU that a guest's firmware lists, and warnings about errors in the list. */
import { readDeviceTree, readMadt } from '../abi/index.js';
import { InputError, rangesText } from '../base/index.js';
import { hvmMaxVcpus, vcpuOfAcpiUid } from './apic.js';
import { cpusOfMadt } from './firmware.js';
import type { ArmCpuEntry, EnableMethod, X86CpuEntry } from './firmware.js';
import { armCpusOfDeviceTree } from './firmware_tree.js';
import { formatApicId, formatMpidr } from './ids.js';
import type { AcpiUid, ApicId, Mpidr, XenVcpuId } from './ids.js';
import { armMaxVcpus, isXenMpidr, vcpuOfMpidr } from './mpidr.js';

/** A vCPU that a MADT lists. One of `apicId` and `mpidr` is null. */
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

/** The values that occur more than once, in order of their second occurrence. Null is not a value. */
function repeated<Value>(values: readonly (Value | null)[]): Value[] {
  const seen = new Set<Value>();
  const again = new Set<Value>();
  for (const value of values) if (value !== null) (seen.has(value) ? again : seen).add(value);
  return [...again];
}

/** A line about the vCPUs among `ids` that a domain of `count` CPUs and at most `limit` vCPUs cannot have. */
function impossible(ids: readonly number[], count: number, limit: number, what: string): string[] {
  const tooMany = ids.filter((id) => id >= limit);
  const beyond = ids.filter((id) => id < limit && id >= count);
  const warning = (found: number[], why: string): string[] =>
    found.length === 0 ? [] : [`no Xen domain has the ${what} ${rangesText(found)}: ${why}`];
  return [
    ...warning(tooMany, `it has at most ${limit} vCPUs, from 0 on`),
    ...warning(beyond, `its vCPUs are numbered from 0 on without gaps, and ${count} are listed`),
  ];
}

function twice(ids: readonly string[], what: string): string[] {
  return ids.map((id) => `more than one entry has the ${what} ${id}`);
}

function hardwareOf(cpu: X86CpuEntry | ArmCpuEntry): { apicId: ApicId | null; mpidr: Mpidr | null } {
  return 'apicId' in cpu ? { apicId: cpu.apicId, mpidr: null } : { apicId: null, mpidr: cpu.mpidr };
}

function warningsAbout(vcpus: readonly MadtVcpu[], listed: number): string[] {
  const apicIds = repeated(vcpus.map(({ apicId }) => apicId)).map(formatApicId);
  const mpidrs = repeated(vcpus.map(({ mpidr }) => mpidr)).map(formatMpidr);
  const uids = vcpus.map(({ acpiUid }) => acpiUid);
  const limit = vcpus.some(({ mpidr }) => mpidr !== null) ? armMaxVcpus : hvmMaxVcpus;
  return [
    ...twice(repeated(uids).map(String), 'UID'),
    ...twice(apicIds, 'APIC id'),
    ...twice(mpidrs, 'MPIDR'),
    ...impossible(uids, listed, limit, 'UID'),
  ];
}

/**
 * The Xen vCPU of each CPU in a guest's MADT: its ACPI processor UID. Xen promises this to x86 HVM and PVH guests
 * (public/hvm/hvm_info_table.h); on Arm it is only what Xen does. `bytes` is the whole table, as Linux offers it in
 * /sys/firmware/acpi/tables/APIC, or the text that acpidump prints. Entries of other types are ignored. There is a
 * warning for entries without a CPU (broadcast id, no affinity, UID all ones), for a UID, APIC id or MPIDR that more
 * than one entry has, for UIDs that no Xen domain has, and for a wrong checksum. Throws {@link InputError} with one
 * line on anything that is not a MADT, and when the MADT has no entry of type 0, 9 or 11.
 */
export function vcpuIdsFromMadt(bytes: Uint8Array): MadtVcpus {
  const { madt, warnings } = readMadt(bytes);
  const found = cpusOfMadt(madt);
  if (found.length === 0) throw new InputError('the MADT has no entry of type 0, 9 or 11, so no CPU');
  const vcpus = found.flatMap((cpu): MadtVcpu[] => {
    const { acpiUid, enabled } = cpu;
    const hardware = hardwareOf(cpu);
    if (acpiUid === null || (hardware.apicId ?? hardware.mpidr) === null) return [];
    return [{ vcpu: vcpuOfAcpiUid(acpiUid), acpiUid, ...hardware, enabled }];
  });
  const empty = found.length - vcpus.length;
  const emptyWarning = empty === 0 ? [] : [`${empty} of ${found.length} CPU entries name no CPU`];
  return { vcpus, warnings: [...warnings, ...emptyWarning, ...warningsAbout(vcpus, found.length)] };
}

/** A vCPU that a device tree lists. */
export interface DeviceTreeVcpu {
  /** The MPIDR, decoded as Xen does; null for one that Xen gives to no vCPU. */
  readonly vcpu: XenVcpuId | null;
  readonly mpidr: Mpidr;
}

const startProblems: Readonly<Record<Exclude<EnableMethod, 'usable'>, string>> = {
  missing: 'it has no enable-method',
  unknown: 'its enable-method is neither psci nor spin-table',
  'no address': 'its enable-method is spin-table, and it has no cpu-release-addr of 64 bits',
  'not ready': 'no psci node says how to call CPU_ON, or its cpu-release-addr is 0',
};

/** What {@link vcpuIdsFromDeviceTree} gives. */
export interface DeviceTreeVcpus {
  /** In the order of the tree. */
  readonly vcpus: DeviceTreeVcpu[];
  /** One line for each thing that is wrong with the tree; empty when all is well. */
  readonly warnings: string[];
}

/** Lines about CPUs that Linux does not start. The CPU on which it is entered needs no enable-method. */
function startWarnings(cpus: readonly ArmCpuEntry[], entry: number): string[] {
  return cpus.flatMap(({ mpidr, enableMethod = 'usable' }) =>
    mpidr === null || mpidr === entry || enableMethod === 'usable'
      ? []
      : [`Linux cannot start the CPU with MPIDR ${formatMpidr(mpidr)}: ${startProblems[enableMethod]}`],
  );
}

/**
 * The Xen vCPU of each CPU in an Arm guest's device tree: its MPIDR, decoded. Xen does so, but does not promise it.
 * `bytes` is the whole blob, as Linux offers it in /sys/firmware/fdt. There is a warning for nodes without a valid
 * MPIDR, for an MPIDR that more than one node has, for those that no Xen domain has, and for CPUs that Linux cannot
 * start. Throws {@link InputError} with one line on anything that is not a device tree, and when it has no CPU.
 */
export function vcpuIdsFromDeviceTree(bytes: Uint8Array): DeviceTreeVcpus {
  const tree = readDeviceTree(bytes);
  const cpus = armCpusOfDeviceTree(tree);
  if (cpus.length === 0) throw new InputError('the device tree has no CPU in /cpus');
  const mpidrs = cpus.flatMap(({ mpidr }) => mpidr ?? []);
  const foreign = mpidrs.filter((mpidr) => !isXenMpidr(mpidr)).map(formatMpidr);
  const vcpus = mpidrs.map((mpidr) => ({ vcpu: isXenMpidr(mpidr) ? vcpuOfMpidr(mpidr) : null, mpidr }));
  const ids = vcpus.flatMap(({ vcpu }) => vcpu ?? []);
  const empty = cpus.length - mpidrs.length;
  return {
    vcpus,
    warnings: [
      ...(empty === 0 ? [] : [`${empty} of ${cpus.length} CPU nodes have no MPIDR in their reg`]),
      ...twice(repeated(mpidrs).map(formatMpidr), 'MPIDR'),
      ...foreign.map((mpidr) => `Xen gives the MPIDR ${mpidr} to no vCPU`),
      ...impossible(ids, cpus.length, armMaxVcpus, 'vCPU'),
      ...startWarnings(cpus, tree.bootCpuidPhys),
    ],
  };
}
