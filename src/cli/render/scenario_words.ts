/** A scenario in a few words. */
import { strategies } from '../../explore/index.js';
import type { ModelRun, PlatformName, Plot, Scenario } from '../../explore/index.js';
import { brokenRules } from './findings.js';
import type { Tone } from './words.js';

export const platformNames: Readonly<Record<PlatformName, string>> = {
  pv: 'PV (x86)',
  pvhvm: 'PVHVM (x86)',
  pvh: 'PVH (x86)',
  arm: 'Arm',
};

function plotText(plot: Plot): string {
  switch (plot.name) {
    case 'boot':
      return 'a boot';
    case 'offline-online':
      return `CPU ${plot.linuxCpu} goes offline and comes back`;
    case 'kexec':
      return 'kexec into a second kernel';
    case 'kdump':
      return `a crash on vCPU ${plot.vcpu}, then the crash kernel${plot.resetFirst ? '' : ', without a reset'}`;
  }
}

/** `PVHVM (x86), 4 vCPUs, FIFO events, Xen 4.17: a crash on vCPU 2, then the crash kernel`. */
export function scenarioText(scenario: Scenario): string {
  const { platform, vcpus, events, release, plot, era } = scenario;
  const machine = [
    platformNames[platform],
    `${vcpus} vCPUs`,
    events === 'fifo' ? 'FIFO events' : 'two-level events',
    `Xen ${release}`,
  ];
  const later = era.numbering === '>=6.9' ? ['CPUs numbered as from Linux 6.9 on'] : [];
  const reset = scenario.hypotheticalReset ? ['a reset that no Xen has yet'] : [];
  const policy = scenario.idPolicy === 'xen' ? [] : [`ids handed out: ${scenario.idPolicy}`];
  return `${[...machine, ...later, ...reset, ...policy].join(', ')}: ${plotText(plot)}`;
}

/** How the kernel learns its ids. */
export function strategyText({ strategy }: Scenario): string {
  return strategies[strategy].summary;
}

export interface Verdict {
  /** `holds`, or the first broken rule. */
  readonly short: string;
  readonly tone: Tone;
}

/** The audit's result for a run, in one word. */
export function verdictOf({ findings }: Pick<ModelRun, 'findings'>): Verdict {
  const [first] = brokenRules(findings);
  return first === undefined ? { short: 'holds', tone: 'good' } : { short: first.rule, tone: 'bad' };
}
