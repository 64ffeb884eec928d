/** How records come to be set: the rules of the kernel's strategy, carried out one record at a time. */
import { XEN_CPUID_FIRST_LEAF } from '../../../abi/index.js';
import { present } from '../../../base/index.js';
import { cpuidLeaf } from '../../../hypervisor/index.js';
import {
  cpuidSource,
  deviceTreeSource,
  mpidr,
  mpidrSource,
  vcpuOfAcpiUid,
  xenVcpuId,
} from '../../../identity/index.js';
import type { Mpidr, SourceName, XenVcpuId } from '../../../identity/index.js';
import { numberVar, record, strategyOf } from '../context.js';
import type { StepContext } from '../context.js';
import { configNrCpus } from '../kernel.js';
import { callStep, done, routine, stay, step } from '../program.js';
import type { Program, Step } from '../program.js';
import type { Moment, RecordRule } from '../strategies.js';

/** The CPUs, by number, of which `rule` sets the records. `vars.cpu` is the one that is being started. */
function cpusOf(context: StepContext, { cpus }: RecordRule): number[] {
  const possible = context.kernel.cpus.map(({ linuxCpu }): number => linuxCpu);
  switch (cpus) {
    case 'cpu-0':
      return [0];
    case 'others':
      return possible.slice(1);
    case 'possible':
      return possible;
    case 'nr-cpus':
      return Array.from({ length: configNrCpus }, (_, cpu) => cpu);
    case 'this':
      return [numberVar(context, 'cpu')];
  }
}

/** What the CPU that executes this reads in its MPIDR_EL1. */
function ownMpidr({ environment, vcpu }: StepContext): Mpidr {
  return mpidr(present(environment.platform.hardwareIds[vcpu], `the MPIDR of vCPU ${vcpu}`));
}

/** What `source` says of `cpu`; null when it does not know. CPUID and MPIDR speak of the CPU that asks. */
function ask(context: StepContext, cpu: number, source: SourceName): XenVcpuId | null {
  const { world, environment, vcpu, kernel } = context;
  const { deviceTree } = environment.firmware;
  const { acpiUid = null, hardwareId = null } = kernel.cpus[cpu] ?? {};
  switch (source) {
    case 'direct':
      return xenVcpuId(cpu);
    case 'cpuid': {
      const leaf = cpuidLeaf(world.domain, vcpu, XEN_CPUID_FIRST_LEAF + 4, 0);
      return leaf === null ? null : cpuidSource.knows(leaf);
    }
    case 'madt':
      return acpiUid === null ? null : vcpuOfAcpiUid(acpiUid);
    case 'mpidr':
      return mpidrSource.knows(ownMpidr(context));
    case 'devicetree':
      if (deviceTree === null || hardwareId === null) return null;
      return deviceTreeSource.knows(deviceTree, mpidr(hardwareId));
  }
}

/** Sets one record. A source that does not know leaves the CPU number, as Linux does without CPUID or a MADT entry. */
function recordFrom(context: StepContext, cpu: number, source: SourceName): void {
  const answer = ask(context, cpu, source);
  record(context, cpu, answer ?? cpu, answer === null ? 'direct' : source);
}

function sourceOf({ environment }: StepContext, { source }: RecordRule): SourceName {
  if (source !== 'tables') return source;
  return environment.firmware.madt === null ? 'devicetree' : 'madt';
}

/** Everything that the strategy sets at `vars.moment`. */
function dueNow(context: StepContext): { cpu: number; source: SourceName }[] {
  const { kernel, environment, vars } = context;
  const rules = strategyOf(context).rules[environment.scenario.platform];
  const now = rules.filter(({ at }) => at === vars['moment']);
  return now.flatMap((rule) =>
    cpusOf(context, rule)
      .filter((cpu) => cpu < kernel.map.entries.length)
      .map((cpu) => ({ cpu, source: sourceOf(context, rule) })),
  );
}

/** A step that sets the records which the strategy sets at `moment`; `cpu` is the CPU that is being started, if any. */
export function recordsStep(moment: Moment, cpu: (context: StepContext) => number = () => 0): Step {
  return callStep(`records: ${moment}`, 'records', (context) => ({ moment, cpu: cpu(context), next: 0 }));
}

export const recordRoutines: Program = {
  records: routine(null, [
    step('record', (context) => {
      const at = numberVar(context, 'next');
      const due = dueNow(context)[at];
      if (due === undefined) return done;
      recordFrom(context, due.cpu, due.source);
      context.vars['next'] = at + 1;
      return stay;
    }),
  ]),
};
