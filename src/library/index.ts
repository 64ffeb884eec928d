/**
 * library: `import { boot } from 'domulator'`: boots a kernel from a program, and hands over its hypercalls and the report.
 * The command stands on it too. It draws nothing, writes no file of its caller's, and never ends the process.
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
  Introspection,
  KernelOrigin,
  ReportedFinding,
  TraceFolding,
  Verdict,
  WhatIf,
} from '../boot/index.js';
export { GuestRun } from './guest_run.js';
export type { Hypercall, Progress } from './guest_run.js';
export { parseKernelSpec } from '../kernel_source/index.js';
export type { DebianSpec, KernelList, KernelSpec, ListedKernel } from '../kernel_source/index.js';
export { kernels } from './kernels.js';
export type { KernelsRequest } from './kernels.js';
export { defaultKernel, memoryMiB } from './request.js';
export type { BootRequest } from './request.js';
export { UnavailableError } from './sources.js';

/**
 * Boots an arm64 kernel as a Xen guest on emulated CPUs, and has every vCPU id in its hypercalls audited. What comes back
 * runs while its hypercalls are taken (`for await`), or while `report()` is awaited. Throws InputError, a line that says
 * what was wrong and what to do, when the request asks for what there cannot be.
 */
export function boot(request: BootRequest = {}): GuestRun {
  return new GuestRun(request);
}
