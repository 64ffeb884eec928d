/**
 * The offsets of what is read from a kernel, found in its image: by the export table, which a kernel with modules
 * has; by kallsyms, which lists data with CONFIG_KALLSYMS_ALL; and by BTF, which gives the layout of each CPU's own area
 * and of a task. For each fact, the way in which it was found is reported.
 */
import type { KnownSymbol } from './anchors.js';
import { Btf } from './btf.js';
import { exportedOffsets } from './export_table.js';
import { findKallsyms } from './kallsyms.js';

/** How something is found. By BTF: with its layouts and the memory of the running kernel. */
export type Way = 'export table' | 'kallsyms' | 'BTF';

/** The kernel's variables that are searched by name. */
export const variableNames = [
  'xen_vcpu_id',
  '__per_cpu_offset',
  '__cpu_online_mask',
  '__cpu_possible_mask',
  'nr_cpu_ids',
  'setup_max_cpus',
] as const;
export type VariableName = (typeof variableNames)[number];

/** A variable: its offset from `_text`; for a per-CPU variable, of its copy in the image's template. */
export interface Variable {
  readonly offset: number;
  readonly way: Way;
}

/** The layout of each CPU's own area by BTF, in bytes from its start. */
export interface AreaLayout {
  /** `xen_vcpu_id`, the record; null if the kernel has none. */
  readonly xenVcpuId: number | null;
  /** In `runqueues`: the CPU's own number, and the current task. They distinguish an area from other memory. */
  readonly runQueueCpu: number;
  readonly runQueueTask: number;
  /** The CPU's hotplug state (`cpuhp_state`), and the state from which it counts as online; null if not known. */
  readonly hotplug: { readonly state: number; readonly online: number } | null;
  /**
   * Where the area has its CPU's number and current task, of an architecture that keeps them there instead of in registers: x86-64's
   * `cpu_number` and `current_task`, or from 6.2 to 6.13 their members of `pcpu_hot`. Null if not known.
   */
  readonly current: { readonly cpu: number; readonly task: number } | null;
}

/** The facts from BTF that are used. */
export interface BtfFacts {
  /** Offset in struct task_struct of the CPU that the task runs on (`thread_info.cpu`, or `task_struct.cpu` in 5.10). */
  readonly taskCpu: number | null;
  /** Null if the BTF lists no per-CPU variables. */
  readonly area: AreaLayout | null;
}

/** What is known about a kernel from its image alone. */
export interface ImageFacts {
  readonly symbols: ReadonlyMap<VariableName, Variable>;
  /** Null if the image has no BTF, or if everything was found without it. */
  readonly btf: BtfFacts | null;
}

/** The sum; null if any part is not known. */
function sum(...parts: readonly (number | null | undefined)[]): number | null {
  let total = 0;
  for (const part of parts) {
    if (part === null || part === undefined) return null;
    total += part;
  }
  return total;
}

function readArea(btf: Btf): AreaLayout | null {
  const variables = btf.perCpuOffsets();
  const queue = variables.get('runqueues');
  const layouts = btf.layouts([
    { name: 'rq', having: 'curr' },
    { name: 'cpuhp_cpu_state', having: 'target' },
  ]);
  const runQueueCpu = sum(queue, layouts.offset('rq.cpu'));
  const runQueueTask = sum(queue, layouts.offset('rq.curr'));
  if (runQueueCpu === null || runQueueTask === null) return null;
  const state = sum(variables.get('cpuhp_state'), layouts.offset('cpuhp_cpu_state.state'));
  // Linux reaches this state right before set_cpu_online, and leaves it right after (kernel/cpu.c, take_cpu_down).
  const online = btf.enumerator('CPUHP_AP_ONLINE');
  return {
    xenVcpuId: variables.get('xen_vcpu_id') ?? null,
    runQueueCpu,
    runQueueTask,
    hotplug: state === null || online === null ? null : { state, online },
    current: readCurrent(btf, variables),
  };
}

function readCurrent(btf: Btf, variables: ReadonlyMap<string, number>): AreaLayout['current'] {
  const hot = variables.get('pcpu_hot');
  const layouts = btf.layouts([{ name: 'pcpu_hot', having: 'current_task' }]);
  const cpu = variables.get('cpu_number') ?? sum(hot, layouts.offset('pcpu_hot.cpu_number'));
  const task = variables.get('current_task') ?? sum(hot, layouts.offset('pcpu_hot.current_task'));
  return cpu === null || task === null ? null : { cpu, task };
}

/** A task begins with its thread_info (CONFIG_THREAD_INFO_IN_TASK). */
function readTaskCpu(btf: Btf): number | null {
  const layouts = btf.layouts(['thread_info', { name: 'task_struct', having: 'thread_info' }]);
  const info = layouts.offset('task_struct.thread_info');
  return sum(info, layouts.offset('thread_info.cpu')) ?? layouts.offset('task_struct.cpu');
}

function readBtfFacts(image: Uint8Array): BtfFacts | null {
  const btf = Btf.find(image);
  if (btf === null) return null;
  return { taskCpu: readTaskCpu(btf), area: readArea(btf) };
}

function addAll(
  found: Map<VariableName, Variable>,
  way: Way,
  offsetOf: (name: VariableName) => number | null | undefined,
): void {
  for (const name of variableNames) {
    const offset = offsetOf(name);
    if (offset !== null && offset !== undefined && !found.has(name)) found.set(name, { offset, way });
  }
}

/** `nr_cpu_ids` may be a constant and only limits the masks; the command line may also give the value of `setup_max_cpus`. */
const dispensable: readonly VariableName[] = ['nr_cpu_ids', 'setup_max_cpus'];

/** Whether all variables that are needed were found. */
function isEnough(found: ReadonlyMap<VariableName, Variable>): boolean {
  return variableNames.every((name) => dispensable.includes(name) || found.has(name));
}

/**
 * Finds the variables in `image`, an unpacked kernel image as in the file. `known` is a symbol of every kernel of its
 * architecture. The export table is read first, then kallsyms, then BTF, each only if something is still missing: reading them
 * takes tenths of a second.
 */
export function readImageFacts(image: Uint8Array, known: KnownSymbol): ImageFacts {
  const symbols = new Map<VariableName, Variable>();
  const exported = exportedOffsets(image, variableNames);
  addAll(symbols, 'export table', (name) => exported.get(name));
  if (isEnough(symbols)) return { symbols, btf: null };
  const listed = findKallsyms(image, known);
  addAll(symbols, 'kallsyms', (name) => listed?.offsetOf(name));
  return { symbols, btf: isEnough(symbols) ? null : readBtfFacts(image) };
}
