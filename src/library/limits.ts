/**
 * What a boot may ask for, and what it gets where it does not ask. The types, the errors and the help of the command follow from
 * this; a test holds the schema of the report and the docs to it.
 */
import { mostVcpus } from '../boot/index.js';
import type { Architecture, WhatIf } from '../boot/index.js';
import { genericFlavour } from '../firmware/index.js';
import { debianSpecText, defaultRelease } from '../kernel_source/index.js';

export {
  cpuModels,
  defaultCpuModel,
  defaultXenRelease,
  engineKinds,
  guestTypes,
  onReboots,
  onSoftResets,
  unpacks,
  usualLimits,
  whatIfs,
  xenReleases,
} from '../boot/index.js';
export type { XenRelease } from '../boot/index.js';

/** The architectures of guests by Debian's names, and other names that are taken for them. */
export const architectureNames = {
  arm64: 'arm64',
  amd64: 'amd64',
  aarch64: 'arm64',
  x86_64: 'amd64',
} as const satisfies Readonly<Record<string, Architecture>>;

/**
 * How the records of a guest can be filled otherwise. On Arm the kernel records its CPU numbers, as it did before the patch of 2016; on
 * x86 it sets each record before its first use, so none is ever read before.
 */
export const whatIfsOf: Readonly<Record<Architecture, readonly WhatIf[]>> = {
  arm64: ['as-posted', 'as-tested'],
  amd64: ['before-the-patch', 'apic-id', 'apic-id-half'],
};

/** A whole number that may be chosen: minimum, maximum and default. */
export interface Range {
  readonly least: number;
  readonly most: number;
  readonly usual: number;
}

/** Number of vCPUs. The maximum is Xen's. */
export const vcpuCount: Range = { least: 1, most: mostVcpus, usual: 4 };

/** Guest memory in MiB. The maximum is the first bank of RAM in Xen's memory map. */
export const memoryMiB: Range = { least: 16, most: 3072, usual: 512 };

/** Number of crashes that run side by side. There are as many as vCPUs at most. */
export const jobCount = { least: 1, most: mostVcpus } as const;

/** Seed of the vCPU schedule. */
export const seeds: Range = { least: 0, most: Number.MAX_SAFE_INTEGER, usual: 1 };

/** Limits of a run: seconds of guest time, and instructions of all vCPUs. Their defaults: {@link usualLimits}. */
export const runLimits = {
  guestSeconds: { least: 1, most: 1_000_000 },
  instructions: { least: 1, most: 1e15 },
} as const;

/** The default kernel. */
export const defaultKernel = debianSpecText({
  release: defaultRelease,
  flavour: genericFlavour,
  version: null,
});
