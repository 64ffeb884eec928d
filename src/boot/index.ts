/**
 * boot: boots a real kernel as a Xen guest and reports what it did. The module builds the guest, observes it from outside, and
 * lets the audit judge the trace. It fetches nothing and prints nothing.
 */
export { Boot } from './run.js';
export type {
  BootCpu,
  BootFinding,
  BootOutcome,
  BootProgress,
  BootResult,
  BootState,
  BootWatcher,
  SavedBoot,
} from './run.js';
export { engineKinds } from '../machine/index.js';
export type { EngineKind, EngineOptions } from '../machine/index.js';
export { KernelImage } from './kernel_image.js';
export type { PausePoint } from './pause_point.js';
export { mainConsoleOf } from './consoles.js';
export { bootReport, reportedRun, runsReport, unstartedEnd, unstartedReport } from './report.js';
export type {
  BootReport,
  CallTotals,
  CrashOptions,
  EndedRun,
  KernelOrigin,
  ReportedCpu,
  ReportedFinding,
  ReportedKernel,
  ReportedOutcome,
  ReportedRun,
  RunAction,
  Verdict,
} from './report.js';
export { defaultXenRelease, xenReleases } from '../abi/index.js';
export type { XenRelease } from '../abi/index.js';
export { defaultArchitecture, loadArchitecture, mostVcpus } from './guest.js';
export type { Architecture } from '../firmware/index.js';
export type { MachineKind } from './guest.js';
export type { Way } from '../introspect/index.js';
export type { Introspection } from './kernel_view.js';
export type { HigherLevel } from './arm64/hung_guest.js';
export type { CallCounts } from './trace_counts.js';
export type { TraceFolding } from './trace_store.js';
export { checkCommandLine, defaultLimits, usualLimits } from './options.js';
export {
  cpuModels,
  defaultCpuModel,
  guestTypes,
  onReboots,
  onSoftResets,
  toolstacks,
  unpacks,
  whatIfs,
} from './options.js';
export type { SavedFrame } from '../machine/index.js';
export type {
  BegunOptions,
  BootCommand,
  BootKernel,
  BootOptions,
  CpuModel,
  GuestType,
  OnReboot,
  OnSoftReset,
  Toolstack,
  Unpack,
  Until,
  WhatIf,
} from './options.js';
