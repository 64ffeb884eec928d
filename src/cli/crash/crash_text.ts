/** What `domulator crash` prints: for each run a line with its ending and one with the first broken rule. */
import { answerText } from '../../explore/index.js';
import type { BootReport, ReportedFinding, ReportedRun } from '../../library/index.js';
import { commandWords, cpuWords } from '../boot/report_text.js';
import { shownLine } from '../render/shown_text.js';
import { labelled } from '../render/style.js';
import type { Style } from '../render/style.js';

interface Broken {
  readonly kernel: number;
  readonly finding: ReportedFinding;
}

/** The earliest finding of a run; null if no rule is broken. */
function firstBroken({ kernels }: ReportedRun): Broken | null {
  const all = kernels.flatMap(({ findings }, kernel) =>
    findings.map((finding): Broken => ({ kernel, finding })),
  );
  const [first] = all.sort((a, b) => a.finding.guestTimeNs - b.finding.guestTimeNs);
  return first ?? null;
}

function brokenText({ kernel, finding: { rule, why, returned, where } }: Broken): string {
  const answer = returned === null ? '' : ` (answered ${answerText(returned)})`;
  return `kernel ${kernel} breaks ${rule}: ${why}${answer}${where === null ? '' : `, from ${shownLine(where)}`}`;
}

/** The lines of one run, which left its first kernel on that vCPU. */
export function crashLines(run: ReportedRun, style: Style): string[] {
  const { action, outcome, verdict, kernels } = run;
  const on = action.kind === 'crash' ? `vCPU ${action.vcpu}` : 'boot';
  const entered = kernels.length > 1 ? '' : 'followed into no other kernel; ';
  const command = run.commandStatus === null ? '' : `; its command ${commandWords(run)}`;
  const broken = firstBroken(run);
  const label = `${on}:`.padEnd(10);
  const [tone, words] =
    broken !== null
      ? (['bad', brokenText(broken)] as const)
      : verdict === 'pass'
        ? (['good', 'every rule holds'] as const)
        : (['silent', 'no rule is broken'] as const);
  return [
    ...labelled(label, `${outcome.what}: ${entered}${shownLine(outcome.why)}${command}`, style.width),
    ...labelled(''.padEnd(label.length), style.tone(tone, words), style.width),
  ];
}

const toolstackWords = {
  xl: 'toolstack xl',
  ideal:
    'toolstack ideal (made up: it resets the domain at the jump, which no toolstack does for such a guest)',
} as const;

/** What stands above the runs. */
export function crashHeading({ kernel, machine, options, runs }: BootReport, style: Style): string[] {
  const version = kernel.version === null ? '' : ` (${shownLine(kernel.version)})`;
  const { crash } = options;
  const [{ action }] = runs;
  const words = [
    `${machine.vcpus} ${machine.vcpus === 1 ? 'vCPU' : 'vCPUs'}`,
    ...cpuWords(machine),
    `${machine.memoryMiB} MiB`,
    `Xen ${machine.xen}`,
    `seed ${options.seed}`,
    ...(options.whatIf === null ? [] : [`what if: ${options.whatIf}`]),
    ...(crash === undefined ? [] : [toolstackWords[crash.toolstack]]),
    ...(options.onSoftReset === undefined ? [] : ['on a soft reset: destroy']),
    ...(action.kind === 'crash' ? [`crash by ${action.by}`] : []),
    ...(crash?.kernel == null ? [] : [`crash kernel ${shownLine(crash.kernel)}`]),
  ];
  return [
    style.heading(`${shownLine(kernel.name)}${version}`),
    ...labelled('Guest:  ', words.join(', '), style.width),
  ];
}
