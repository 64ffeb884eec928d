/**
 * Finds each CPU's own area in the memory of a running kernel without known symbols, by the layouts in its BTF.
 * An area is a copy of the image's per-CPU section, and the CPU's per-CPU base is its offset from the section; the address of
 * the section is not known. But an area's run queue names its CPU and the task that runs there, and the CPU names that task too
 * (Linux mm/percpu.c, kernel/sched/sched.h; anchors.ts). So exactly one address fits.
 */
import type { AreaLayout } from './image_facts.js';
import type { ReadKernel } from './layouts.js';

/** What is known about a running kernel. */
export interface RunningKernel {
  /** Kernel virtual address of `_text`. */
  readonly text: bigint;
  /** Its image as it is in memory now. */
  readonly loaded: Uint8Array;
  readonly read: ReadKernel;
  /** Maximum number of its CPUs. */
  readonly cpus: number;
  /** Whether its per-CPU section may be linked at address 0 instead of in the image. */
  readonly sectionMayBeAt0: boolean;
}

/** The registers of one of its CPUs, and the Linux CPU that its task names. */
export interface RunningCpu {
  /** The per-CPU base of its anchors. */
  readonly perCpuOffset: bigint;
  /** Kernel virtual address of its current task. */
  readonly task: bigint;
  readonly linuxCpu: number;
}

/** The section is aligned to a page; the smallest page has 4 KiB. */
const pageBytes = 4096;
/** A word that occurs more often than this is not used. */
const mostHits = 1024;

/** The areas' template and the array of their offsets: offsets from `_text`, for a template at address 0 modulo 2^64. */
export interface AreaOffsets {
  readonly template: number;
  readonly perCpuOffset: number;
}

function word(bytes: Uint8Array | null): bigint | null {
  if (bytes === null) return null;
  let value = 0n;
  for (let at = bytes.length - 1; at >= 0; at -= 1) value = (value << 8n) | BigInt(bytes[at] ?? 0);
  return value;
}

/** Whether the memory at `perCpuOffset` from the template is the area of `linuxCpu`, by its run queue. */
export function isAreaOf(
  { text, read }: RunningKernel,
  { runQueueCpu }: AreaLayout,
  template: number,
  perCpuOffset: bigint,
  linuxCpu: number,
): boolean {
  if (perCpuOffset === 0n || perCpuOffset % BigInt(pageBytes) !== 0n) return false;
  const address = BigInt.asUintN(64, text + BigInt(template + runQueueCpu) + perCpuOffset);
  return word(read(address, 4)) === BigInt(linuxCpu);
}

/** The offsets from `_text` that a template may have: each page of the image, and address 0 where that is possible. */
function* templatesOf({ text, loaded, sectionMayBeAt0 }: RunningKernel): Generator<number> {
  for (let template = 0; template < loaded.length; template += pageBytes) yield template;
  if (sectionMayBeAt0) yield Number(BigInt.asUintN(64, -text));
}

/** The only place that can be the template's first; null if none or several match. */
function findTemplate(kernel: RunningKernel, area: AreaLayout, cpu: RunningCpu): number | null {
  const { text, read } = kernel;
  const found: number[] = [];
  for (const template of templatesOf(kernel)) {
    const address = BigInt.asUintN(64, text + BigInt(template + area.runQueueTask) + cpu.perCpuOffset);
    if (word(read(address, 8)) !== cpu.task) continue;
    if (isAreaOf(kernel, area, template, cpu.perCpuOffset, cpu.linuxCpu)) found.push(template);
  }
  return found.length === 1 ? (found[0] ?? null) : null;
}

/** Offsets in `loaded`, multiples of 8, with the word `value`. */
function* offsetsOf(loaded: Uint8Array, value: bigint): Generator<number> {
  const words = new Int32Array(loaded.buffer, loaded.byteOffset, loaded.length >> 2);
  const [low, high] = [Number(value & 0xffff_ffffn) | 0, Number(value >> 32n) | 0];
  for (let at = words.indexOf(low); at >= 0; at = words.indexOf(low, at + 1)) {
    if (at % 2 === 0 && words[at + 1] === high) yield 4 * at;
  }
}

/** The number of CPUs whose areas an array at offset `at` gives correctly; 0 if not that of CPU 0. */
function areasBy(kernel: RunningKernel, area: AreaLayout, template: number, at: number): number {
  const { loaded, cpus } = kernel;
  const view = new DataView(loaded.buffer, loaded.byteOffset, loaded.byteLength);
  const isOwn = (cpu: number): boolean => {
    const own = at + 8 * cpu;
    if (own < 0 || own + 8 > loaded.length) return false;
    return isAreaOf(kernel, area, template, view.getBigUint64(own, true), cpu);
  };
  if (!isOwn(0)) return 0;
  return Array.from({ length: cpus }, (_, cpu) => cpu).filter(isOwn).length;
}

/** `__per_cpu_offset`: the array that contains this CPU's offset at its index, and correct offsets for most other CPUs. */
function findOffsets(
  kernel: RunningKernel,
  area: AreaLayout,
  template: number,
  { perCpuOffset, linuxCpu }: RunningCpu,
): number | null {
  let best: { readonly at: number; readonly areas: number } | null = null;
  let isTied = false;
  let hits = 0;
  for (const offset of offsetsOf(kernel.loaded, perCpuOffset)) {
    hits += 1;
    if (hits > mostHits) return null;
    const at = offset - 8 * linuxCpu;
    const areas = areasBy(kernel, area, template, at);
    if (areas === 0 || areas < (best?.areas ?? 0)) continue;
    isTied = areas === best?.areas;
    best = { at, areas };
  }
  return best === null || isTied ? null : best.at;
}

/**
 * The addresses of the areas, as seen while `cpu` runs; null while nothing matches: before the kernel has set up its areas and
 * its scheduler, or between two tasks. `loaded` must begin at a multiple of 4 in its buffer.
 */
export function findAreas(kernel: RunningKernel, area: AreaLayout, cpu: RunningCpu): AreaOffsets | null {
  if (cpu.perCpuOffset === 0n || cpu.perCpuOffset % BigInt(pageBytes) !== 0n) return null;
  const template = findTemplate(kernel, area, cpu);
  const array = template === null ? null : findOffsets(kernel, area, template, cpu);
  return template === null || array === null ? null : { template, perCpuOffset: array };
}
