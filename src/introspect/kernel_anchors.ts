/**
 * Where an arm64 kernel keeps what is read from it, found in its image: by its export table, which a kernel with modules
 * has; by kallsyms, which names data with CONFIG_KALLSYMS_ALL; and by BTF, which knows what lies where in each CPU's own area
 * and in a task. Of each fact it is told by which of them it was found.
 */
import { Btf } from './btf.js';
import { exportedOffsets } from './export_table.js';
import { findKallsyms } from './kallsyms.js';

/** A way by which something is found. By BTF: its layouts, and what lies in the memory of the running kernel. */
export type Way = 'export table' | 'kallsyms' | 'BTF';

/** The kernel's variables that are looked for by name. */
export const anchorNames = [
  'xen_vcpu_id',
  '__per_cpu_offset',
  '__cpu_online_mask',
  '__cpu_possible_mask',
  'nr_cpu_ids',
  'setup_max_cpus',
] as const;
export type AnchorName = (typeof anchorNames)[number];

/** A variable: its offset from `_text`, that of a per-CPU one being its place in the image's template. */
export interface Anchor {
  readonly offset: number;
  readonly way: Way;
}

/** What BTF says of each CPU's own area, in bytes from where it begins. */
export interface AreaLayout {
  /** `xen_vcpu_id`, the record; null where the kernel has none. */
  readonly xenVcpuId: number | null;
  /** In `runqueues`: the CPU's own number, and the task that runs. By these an area is told from other memory. */
  readonly runQueueCpu: number;
  readonly runQueueTask: number;
  /** How far the CPU has come up (`cpuhp_state`), and from which state on it counts as online; null where not known. */
  readonly hotplug: { readonly state: number; readonly online: number } | null;
}

/** What BTF says, as far as anybody asks. */
export interface BtfFacts {
  /** Offset in struct task_struct of the CPU that the task runs on (`thread_info.cpu`, or `task_struct.cpu` in 5.10). */
  readonly taskCpu: number | null;
  /** Null where the BTF lists no per-CPU variables. */
  readonly area: AreaLayout | null;
}

/** What is known of a kernel from its image alone. */
export interface KernelAnchors {
  readonly symbols: ReadonlyMap<AnchorName, Anchor>;
  /** Null where the image has no BTF, or all was found without. */
  readonly btf: BtfFacts | null;
}

/** Of a sum, null where any part is not known. */
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
  };
}

/** A task begins with its thread_info (CONFIG_THREAD_INFO_IN_TASK, as on arm64 since 4.10). */
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
  found: Map<AnchorName, Anchor>,
  way: Way,
  offsetOf: (name: AnchorName) => number | null | undefined,
): void {
  for (const name of anchorNames) {
    const offset = offsetOf(name);
    if (offset !== null && offset !== undefined && !found.has(name)) found.set(name, { offset, way });
  }
}

/** `nr_cpu_ids` may be a constant, and bounds the masks only; what `setup_max_cpus` says, the command line may say too. */
const dispensable: readonly AnchorName[] = ['nr_cpu_ids', 'setup_max_cpus'];

/** Whether nothing stays unread for want of a variable. */
function isEnough(found: ReadonlyMap<AnchorName, Anchor>): boolean {
  return anchorNames.every((name) => dispensable.includes(name) || found.has(name));
}

/**
 * What `image`, an unpacked kernel Image as it lies in the file, says of where things are. The export table is asked first,
 * then kallsyms, then BTF, each only where something is still missing: to read them takes tenths of a second.
 */
export function findAnchors(image: Uint8Array): KernelAnchors {
  const symbols = new Map<AnchorName, Anchor>();
  const exported = exportedOffsets(image, anchorNames);
  addAll(symbols, 'export table', (name) => exported.get(name));
  if (isEnough(symbols)) return { symbols, btf: null };
  const listed = findKallsyms(image);
  addAll(symbols, 'kallsyms', (name) => listed?.offsetOf(name));
  return { symbols, btf: isEnough(symbols) ? null : readBtfFacts(image) };
}
