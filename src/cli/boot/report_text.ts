/** The report of a boot for the terminal: which CPU is which, what was broken, what became of the guest. */
import { formatMpidr, mpidr } from '../../identity/index.js';
import { answerText, idText } from '../../explore/index.js';
import type { Style } from '../render/style.js';
import { labelled } from '../render/style.js';
import { tableLines } from '../render/table.js';
import type { BootReport } from './report.js';

function id(value: number | null): string {
  return value === null ? '-' : idText(value);
}

function cpuTable({ cpus }: BootReport): string[] {
  const rows = cpus.map((cpu) => [
    String(cpu.linuxCpu),
    formatMpidr(mpidr(cpu.mpidr)),
    String(cpu.vcpu),
    `${id(cpu.recordedVcpuId)}${cpu.agrees === false ? ' ✗' : ''}`,
    cpu.usedVcpuIds.map(id).join(' ') || '-',
    cpu.online ? 'yes' : 'no',
  ]);
  return tableLines(['Linux CPU', 'MPIDR', 'is vCPU', 'recorded id', 'ids in its calls', 'online'], rows);
}

/** Findings that say the same are told once, with how often they came. */
function findingLines({ findings }: BootReport, style: Style): string[] {
  const told = new Map<string, number>();
  for (const { rule, why, returned } of findings) {
    const answer = returned === null ? '' : ` (answered ${answerText(returned)})`;
    const line = `${rule}: ${why}${answer}`;
    told.set(line, (told.get(line) ?? 0) + 1);
  }
  return [...told].flatMap(([line, times]) =>
    labelled('        ', times === 1 ? line : `${line} ×${times}`, style.width),
  );
}

const verdicts = {
  pass: ['good', 'every rule holds: each CPU knows which vCPU it is'],
  fail: ['bad', 'broken:'],
  incomplete: ['silent', 'no rule is broken, but the guest did not get where it was asked to'],
} as const;

/** The report, ready to be printed. */
export function reportText(report: BootReport, style: Style): string {
  const { kernel, machine, outcome, verdict, hypercalls, guestTimeNs, instructions, host } = report;
  const [tone, words] = verdicts[verdict];
  const seconds = (guestTimeNs / 1e9).toFixed(3);
  return [
    style.heading(`${kernel.name}${kernel.version === null ? '' : ` (${kernel.version})`}`),
    `Guest:  ${machine.vcpus} vCPUs, ${machine.memoryMiB} MiB, Xen ${machine.xen}, ${machine.events === 'fifo' ? 'FIFO' : 'two-level'} events, seed ${machine.seed}${machine.entryVcpu === 0 ? '' : `, entered on vCPU ${machine.entryVcpu}`}${machine.whatIf === null ? '' : `, what if: ${machine.whatIf}`}`,
    '',
    ...cpuTable(report),
    '',
    ...labelled(
      'Calls:  ',
      `${hypercalls.total} hypercalls, ${hypercalls.carryingVcpuId} with a vCPU id, ${hypercalls.refused} refused`,
      style.width,
    ),
    ...labelled('Ending: ', `${outcome.what}: ${outcome.why}`, style.width),
    `Audit:  ${style.tone(tone, words)}`,
    ...findingLines(report, style),
    ...(verdict === 'pass'
      ? []
      : ['', 'The end of the kernel’s own log:', ...report.kernelLogTail.slice(-12)]),
    '',
    style.dim(
      `${seconds} s of guest time, ${(instructions / 1e6).toFixed(0)} million instructions in ${(host.wallMs / 1000).toFixed(1)} s`,
    ),
  ].join('\n');
}
