/** The text of a sequence's items, for the terminal and the page. */
import { rangesText } from '../../base/index.js';
import { idText } from '../../explore/index.js';
import type {
  CallItem,
  EndItem,
  KernelItem,
  QuietItem,
  SequenceItem,
  StartItem,
  StopItem,
} from '../../explore/index.js';

/** The rating of an item: `good`, `bad` (wrong, and refused), `silent` (wrong, but not refused), or none of these. */
export type Tone = 'good' | 'bad' | 'silent' | 'plain';

export interface Phrase {
  /** What happens. */
  readonly text: string;
  /** Xen's answer; null if there is none. */
  readonly answer: string | null;
  /** The comment on it; empty if it is correct. */
  readonly remark: string;
  readonly tone: Tone;
}

/** `no CPU`, `CPU 2`, `CPUs 2 and 3`, `CPUs 0 to 3`. */
export function listOf(one: string, ids: readonly number[]): string {
  if (ids.length === 0) return `no ${one}`;
  return `${one}${ids.length === 1 ? '' : 's'} ${rangesText(ids)}`;
}

function times(count: number): string {
  return count === 1 ? '' : ` ×${count}`;
}

function plain(text: string, tone: Tone = 'plain'): Phrase {
  return { text, answer: null, remark: '', tone };
}

function kernelPhrase({ name, vcpu, linuxCpu, possible, leftOut }: KernelItem): Phrase {
  const out = leftOut.map((cpu) => `; leaves out vCPU ${cpu.vcpu}: ${cpu.why}`).join('');
  const counts = possible === 1 ? 'it counts 1 CPU' : `it counts ${possible} CPUs`;
  return plain(`${name}: entered on vCPU ${vcpu}, which it calls CPU ${linuxCpu}; ${counts}${out}`);
}

const remarks: Readonly<Record<CallItem['verdict'], (item: CallItem) => string>> = {
  right: () => '',
  failed: ({ passed }) => (passed === null ? 'refused' : 'refused, though the id is right'),
  refused: ({ meant }) => `refused, ${meant === null ? 'no id is right here' : `meant vCPU ${meant}`}`,
  silent: ({ meant }) => `SILENT, ${meant === null ? 'no id is right here' : `meant vCPU ${meant}`}`,
  'not-judged': () => 'not judged',
};

const callTones: Readonly<Record<CallItem['verdict'], Tone>> = {
  right: 'good',
  failed: 'bad',
  refused: 'bad',
  silent: 'silent',
  'not-judged': 'plain',
};

/** One or two operations by name; for more, the first and the number of others. */
function listOfOperations({ operations }: CallItem): string {
  const [first = '', ...more] = operations.map(({ op }) => op);
  return more.length === 1 ? `${first}, ${more.join('')}` : `${first} and ${more.length} more`;
}

function callPhrase(item: CallItem): Phrase {
  const total = item.operations.reduce((sum, { times: count }) => sum + count, 0);
  const [first] = item.operations;
  const inside = item.about ?? (item.passed === null ? '' : idText(item.passed));
  const text =
    item.operations.length === 1 && first !== undefined
      ? `${first.op}(${inside})${times(first.times)}`
      : `${total} calls with id ${inside}: ${listOfOperations(item)}`;
  return { text, answer: item.answer, remark: remarks[item.verdict](item), tone: callTones[item.verdict] };
}

const startNames: Readonly<Record<StartItem['how'], string>> = {
  psci: 'CPU_ON',
  sipi: 'INIT, SIPI',
  VCPUOP_up: 'VCPUOP_up',
};

function startPhrase({ how, target, answer, runsAs, meantCpu }: StartItem): Phrase {
  const names = target === null ? 'no vCPU' : `vCPU ${target}`;
  const meant = meantCpu === null || meantCpu === runsAs ? '' : ` (meant as CPU ${meantCpu})`;
  const remark = runsAs === null ? `it never runs${meant}` : `runs as CPU ${runsAs}${meant}`;
  const good = runsAs !== null && meant === '';
  return { text: `${startNames[how]} of ${names}`, answer, remark, tone: good ? 'good' : 'bad' };
}

const stopNames: Readonly<Record<StopItem['how'], string>> = {
  psci: 'CPU_OFF',
  hlt: 'HLT with interrupts off',
};

function stopPhrase({ how, vcpu }: StopItem): Phrase {
  return plain(`${stopNames[how]}: vCPU ${vcpu} is off`);
}

function endPhrase({ outcome, online }: EndItem): Phrase {
  const tone = outcome === 'panic' || outcome === 'hang' || outcome === 'destroyed' ? 'bad' : 'plain';
  return plain(`end: ${outcome}; online: ${listOf('CPU', online)}`, tone);
}

function quietPhrase({ calls, online }: QuietItem): Phrase {
  const more = online.length === 0 ? '' : `brings up ${listOf('CPU', online)}; `;
  return plain(`${more}all its ${calls} calls with an id carry the right one`, 'good');
}

/** The text of one item. */
export function phraseOf(item: SequenceItem): Phrase {
  switch (item.kind) {
    case 'kernel':
      return kernelPhrase(item);
    case 'call':
      return callPhrase(item);
    case 'start':
      return startPhrase(item);
    case 'online':
      return plain(`CPU ${item.linuxCpu} is online`, 'good');
    case 'offline':
      return plain(`CPU ${item.linuxCpu} goes offline`);
    case 'stop':
      return stopPhrase(item);
    case 'stray':
      return plain(
        `an event for CPU ${item.boundFor} (${item.purpose}) comes to CPU ${item.linuxCpu}${times(item.times)}`,
        'silent',
      );
    case 'quiet':
      return quietPhrase(item);
    case 'reset':
      return plain('Xen resets the domain: all that the guest had registered is gone');
    case 'again': {
      const lines = item.items === 1 ? 'the step above' : `the ${item.items} steps above`;
      const whom = item.vcpus.length === 0 ? `${item.times} more times` : `for ${listOf('vCPU', item.vcpus)}`;
      return plain(`${lines} again, ${whom}`);
    }
    case 'end':
      return endPhrase(item);
  }
}
