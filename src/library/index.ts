/**
 * library: `import { boot } from 'domulator'` boots a kernel from a program and returns its hypercalls and the report.
 * The command uses it too. The module draws nothing, writes no files for its caller, and never ends the process.
 */
import { GuestRun } from './guest_run.js';
import type { BootRequest } from './request.js';

export { InputError } from '../base/index.js';
export type { TraceEvent } from '../audit/index.js';
export type {
  BootCommand,
  BootOutcome,
  BootReport,
  CallCounts,
  CallTotals,
  CpuModel,
  CrashOptions,
  HigherLevel,
  Introspection,
  Architecture,
  KernelOrigin,
  MachineKind,
  OnReboot,
  OnSoftReset,
  Unpack,
  ReportedCpu,
  ReportedFinding,
  ReportedKernel,
  ReportedOutcome,
  ReportedRun,
  RunAction,
  SavedFrame,
  Toolstack,
  TraceFolding,
  Verdict,
  Way,
  WhatIf,
} from '../boot/index.js';
export { toolstacks } from '../boot/index.js';
export { checkpointBytes } from './checkpoint.js';
export { unpackingInstructions } from './request.js';
export { crash, crashMemory, crashMemoryMiB, crashWays, kexecSyscalls } from './crash.js';
export type { CrashRequest, CrashWay, KexecSyscall } from './crash.js';
export type { Checkpoint } from './checkpoint.js';
export { GuestRun } from './guest_run.js';
export type { Hypercall, Progress } from './guest_run.js';
export { debianGrammar, parseKernelSpec, usualReleases } from '../kernel_source/index.js';
export type { DebianSpec, KernelList, KernelSpec, ListedKernel } from '../kernel_source/index.js';
export { kernels } from './kernels.js';
export type { KernelsRequest } from './kernels.js';
export {
  architectureNames,
  defaultKernel,
  defaultXenRelease,
  cpuModels,
  defaultCpuModel,
  engineKinds,
  guestTypes,
  jobCount,
  memoryMiB,
  onReboots,
  onSoftResets,
  unpacks,
  runLimits,
  seeds,
  usualLimits,
  vcpuCount,
  whatIfs,
  whatIfsOf,
  xenReleases,
} from './limits.js';
export type { Range, XenRelease } from './limits.js';
export type { BootRequest } from './request.js';
export type { EngineKind } from '../boot/index.js';
export { UnavailableError } from './sources.js';

/**
 * Boots an arm64 or amd64 kernel as a Xen guest on emulated CPUs and audits every vCPU id in its hypercalls. The returned boot
 * runs while the caller reads its hypercalls (`for await`) or awaits `report()`, which gives a {@link BootReport}. Throws
 * {@link InputError} for an invalid request; its message is one line that says what is wrong and what to do.
 */
export function boot(request: BootRequest = {}): GuestRun {
  return new GuestRun(request);
}
