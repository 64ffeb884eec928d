/** Builds BTF for the tests, type by type, as pahole does. */

/** A member: its name, '' for none; its type's id; its offset in bits. */
export type MadeMember = readonly [name: string, type: number, bits: number];

export class MadeBtf {
  readonly #words: number[] = [];
  #names = '\0';
  #count = 0;

  /** Appends a type and the words that follow it; returns its id. */
  type(kind: number, name: string, count: number, sizeOrType: number, tail: readonly number[] = []): number {
    this.#words.push(this.name(name), ((kind << 24) | count) >>> 0, sizeOrType, ...tail);
    this.#count += 1;
    return this.#count;
  }

  /** Adds a name and returns its offset. */
  name(name: string): number {
    if (name === '') return 0;
    this.#names += `${name}\0`;
    return this.#names.length - name.length - 1;
  }

  int(name: string, bytes = 4): number {
    return this.type(1, name, 0, bytes, [bytes * 8]);
  }

  array(type: number, elements: number): number {
    return this.type(3, '', 0, 0, [type, 1, elements]);
  }

  struct(name: string, size: number, members: readonly MadeMember[], kind = 4): number {
    const tail = members.flatMap(([member, type, bits]) => [this.name(member), type, bits]);
    return this.type(kind, name, members.length, size, tail);
  }

  enumeration(name: string, values: Readonly<Record<string, number>>): number {
    const pairs = Object.entries(values);
    const tail = pairs.flatMap(([key, value]) => [this.name(key), value >>> 0]);
    return this.type(6, name, pairs.length, 4, tail);
  }

  /** The per-CPU section, each variable with its offset in it. */
  perCpu(variables: Readonly<Record<string, number>>, type = 1): number {
    const entries = Object.entries(variables).map(([name, offset]) => [
      this.type(14, name, 0, type, [1]),
      offset,
      4,
    ]);
    return this.type(15, '.data..percpu', entries.length, 4096, entries.flat());
  }

  /** `layout`: for each kind from 0 on, the bytes that follow a type of it once, and for each member. */
  done(layout: readonly (readonly [once: number, each: number])[] = []): Uint8Array {
    const types = Uint32Array.from(this.#words);
    const kinds = Uint8Array.from(layout.flatMap(([once, each]) => [once, each, 0, 0]));
    const length = layout.length === 0 ? 24 : 32;
    const header = [0x0001_eb9f, length, 0, types.byteLength, types.byteLength, this.#names.length];
    if (layout.length > 0) header.push(types.byteLength + this.#names.length, kinds.length);
    return Uint8Array.from([
      ...new Uint8Array(Uint32Array.from(header).buffer),
      ...new Uint8Array(types.buffer),
      ...Array.from(this.#names, (letter) => letter.charCodeAt(0)),
      ...kinds,
    ]);
  }
}

/** The layout of a CPU's area by {@link writeKernelBtf}, and the place of a task's CPU: offsets in bytes. */
export const madeArea = {
  xenVcpuId: 0x48,
  runQueueCpu: 0x100 + 24,
  runQueueTask: 0x100 + 16,
  hotplug: { state: 0x200 + 4, online: 142 },
  current: null,
  taskCpu: 16,
} as const;

/** BTF of a kernel with or without records. */
export function kernelBtf(hasRecords = true): MadeBtf {
  const btf = new MadeBtf();
  const int = btf.int('int');
  const info = btf.struct('thread_info', 24, [
    ['flags', int, 0],
    ['cpu', int, 128],
  ]);
  btf.struct('task_struct', 4096, [['thread_info', info, 0]]);
  const current = btf.struct(
    '',
    8,
    [
      ['donor', int, 0],
      ['curr', int, 0],
    ],
    5,
  );
  btf.struct('rq', 64, [
    ['', current, 128],
    ['cpu', int, 192],
  ]);
  btf.struct('cpuhp_cpu_state', 32, [
    ['target', int, 0],
    ['state', int, 32],
  ]);
  btf.enumeration('cpuhp_state', { CPUHP_OFFLINE: 0, CPUHP_AP_ONLINE: madeArea.hotplug.online });
  const records = hasRecords ? { xen_vcpu_id: madeArea.xenVcpuId } : {};
  btf.perCpu({ ...records, runqueues: 0x100, cpuhp_state: 0x200 });
  return btf;
}
