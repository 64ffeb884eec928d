/**
 * Kernels with a valid header and random code. Whatever they do, the host continues, the run ends in time, and nothing
 * changes outside the guest.
 */
import assert from 'node:assert/strict';
import type { TraceEvent } from '../../src/audit/index.js';
import { frameBytes, present } from '../../src/base/index.js';
import { Boot, bootReport } from '../../src/boot/index.js';
import type { BootOptions } from '../../src/boot/index.js';
import type { Arm64Machine } from '../../src/machine/index.js';
import { a64, insertFields, systemRegisters } from '../../src/isa/index.js';
import { Dice } from '../conformance/a64_draw.js';
import { image, movk, movz } from './tiny_kernels.js';

const codeWords = 512;
const limits = { instructions: 6_000, guestNs: 1_000_000_000n };
/** The longest turn. A run ends at the end of a turn. */
const longestTurn = 20_000;

const systemForms = a64().filter(({ name }) =>
  /^(SYS|MSR|MRS|ERET|SVC|HVC|SMC|BRK|ISB|WF|YIELD|LDX|STX)/.test(name),
);
const memoryForms = a64().filter(({ name }) => /^(LD|ST|PRFM|CAS|SWP)/.test(name));

/** A random instruction word. System, memory and call instructions are drawn more often than uniformly. */
function word(dice: Dice): number {
  const kind = dice.below(16);
  if (kind < 3) return dice.word();
  if (kind === 3) return dice.pick([0xd401_d422, 0xd400_0002]); // HVC #0xea1, HVC #0
  const { pattern, name } = dice.pick(kind < 6 ? systemForms : kind < 10 ? memoryForms : a64());
  if (name.includes('systemmove')) {
    const { encoding } = dice.pick(systemRegisters);
    return ((pattern.value & 0xffe0_0000) | (encoding << 5) | dice.below(32)) >>> 0;
  }
  return insertFields(pattern, Object.fromEntries(pattern.fields.map((field) => [field.name, dice.word()])));
}

/** Addresses of the guest's memory, the UART, the interrupt controller, and an unmapped one. */
const places = [
  0x4000_0000, 0x4010_0000, 0x40ff_fff8, 0x2200_0000, 0x0300_1000, 0x0302_0000, 0x0303_0000, 0x8000_0000,
];

/** Code that points registers to such addresses and, half the time, the vectors into the code. */
function preamble(dice: Dice): number[] {
  const pointers = Array.from({ length: 12 }, (_, register) => {
    const place = dice.pick(places) + (dice.below(4) === 0 ? dice.below(0x1000) : 0);
    return [movz(register, place & 0xffff), movk(register, Math.floor(place / 0x1_0000), 1)];
  }).flat();
  const hypercall = movz(16, dice.pick([12, 17, 18, 20, 21, 24, 29, 32, 34, dice.below(64)]));
  const vectors = [movz(17, 0x4000, 1), 0xd518_c011]; // MSR VBAR_EL1, X17
  return [...pointers, hypercall, ...(dice.below(2) === 0 ? vectors : [])];
}

function randomKernel(dice: Dice): Uint8Array {
  const words = [...preamble(dice), ...Array.from({ length: codeWords }, () => word(dice))];
  return image(words, { imageBytes: dice.pick([0, 0x1000, 0x20_0000]) });
}

function options(dice: Dice): BootOptions {
  const bytes = randomKernel(dice);
  const vcpus = 2 + dice.below(2);
  return {
    kernel: {
      name: 'random',
      version: null,
      sha256: '',
      image: bytes,
      memoryBytes: 0x20_0000,
      placement: { architecture: 'arm64', textOffset: 0 },
    },
    initrd: null,
    commandLine: '',
    vcpus,
    memoryMiB: 16,
    release: dice.pick(['4.17', '4.18'] as const),
    seed: dice.below(1000),
    xenstore: dice.below(2) === 0,
    whatIf: dice.pick([null, 'as-posted', 'as-tested'] as const),
    entryVcpu: dice.below(vcpus),
    until: { kind: dice.pick(['poweroff', 'userspace'] as const) },
    limits,
  };
}

/** Xen's frames after the guest's own memory, which no instruction can reach. */
export function xenFrames({ machine, config }: Boot['guest']): Buffer {
  const { start, count } = config.xenFrames;
  const place = present(machine.frames.offsetOf(start), "Xen's first frame");
  return Buffer.from(machine.processor.ram.buffer, place, count * frameBytes);
}

type SavedCpu = Pick<Arm64Machine['processor']['vcpus'][number], 'save'>;

/** Boots the kernel of a seed and returns how many instructions it ran. */
export function bootRandomKernel(seed: number): number {
  const asked = options(new Dice(seed));
  const events: TraceEvent[] = [];
  const boot = new Boot(asked, { event: (event) => events.push(event) });
  const { guest } = boot;
  const vcpus = guest.machine.processor.vcpus as unknown as readonly SavedCpu[];
  const before = Buffer.from(xenFrames(guest));
  const idle = vcpus.map((view) => view.save());
  while (boot.step(5_000) !== 'ended');
  const result = boot.result();
  assert.ok(result.instructions <= limits.instructions + longestTurn, `${result.instructions} instructions`);
  assert.ok(
    JSON.stringify(bootReport(asked, result, { package: null, suites: [] }, { wallMs: 1, node: '' })),
  );
  // A vCPU that was not started is unchanged, and so are Xen's frames if Xen was not called.
  const started = new Set<number>([asked.entryVcpu]);
  for (const event of events) if (event.kind === 'start') started.add(event.target ?? -1);
  for (const [vcpu, view] of vcpus.entries()) {
    if (!started.has(vcpu)) assert.deepEqual(view.save(), idle[vcpu], `vCPU ${vcpu}`);
  }
  if (!events.some(({ kind }) => kind === 'hypercall' || kind === 'start'))
    assert.ok(xenFrames(guest).equals(before), 'Xen’s frames');
  return result.instructions;
}

/** Boots `count` kernels, from seed `first` on. */
export function bootRandomKernels(first: number, count: number): void {
  let instructions = 0;
  for (let seed = first; seed < first + count; seed += 1) {
    try {
      instructions += bootRandomKernel(seed);
    } catch (error) {
      throw new Error(`the kernel of seed ${seed}`, { cause: error });
    }
  }
  assert.ok(instructions > 1000 * count, 'hardly anything ran');
}
