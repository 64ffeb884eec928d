/** A scenario run to its end by the canonical schedule, judged, and told in rows. */
import { audit, judgeCalls } from '../audit/index.js';
import { InputError } from '../base/index.js';
import { linuxCpu, policyNamed, recordOf, xenVcpuId } from '../identity/index.js';
import type { XenVcpuId } from '../identity/index.js';
import type { Environment, Firmware } from './model/context.js';
import type { Interposers } from './model/interposers.js';
import { configNrCpus } from './model/kernel.js';
import { createWorld, firmwareOf, platformOf } from './model/platform.js';
import type { Program } from './model/program.js';
import { linuxProgram } from './model/routines/index.js';
import type { CpuRow, ModelRun, Scenario } from './scenario.js';
import { runToEnd } from './schedule.js';
import type { Observer } from './schedule.js';
import { strategies } from './model/strategies.js';
import type { GuestVcpu, KernelState, World } from './model/world.js';

/** What a run may be given in place of the ordinary. */
export interface RunOptions {
  /** In place of Linux as it is. */
  readonly program?: Program;
  readonly strategies?: Environment['strategies'];
  /** In place of the tables that tell the truth. */
  readonly firmware?: Firmware;
  readonly interposers?: Interposers;
  /** Called after every step; must not change the world. */
  readonly observe?: Observer;
}

/** What no scenario may ask for, one line each. Throws InputError. */
function check({ platform, vcpus, plot, name }: Scenario): void {
  if (!Number.isInteger(vcpus) || vcpus < 1 || vcpus > configNrCpus) {
    throw new InputError(`scenario ${name}: model kernels have 1 to ${configNrCpus} vCPUs, not ${vcpus}`);
  }
  if (plot.name === 'kdump' && !(Number.isInteger(plot.vcpu) && plot.vcpu >= 0 && plot.vcpu < vcpus)) {
    throw new InputError(`scenario ${name}: there is no vCPU ${plot.vcpu} to crash on`);
  }
  const offline = plot.name === 'offline-online' ? plot.linuxCpu : 1;
  if (!Number.isInteger(offline) || offline < 1) {
    throw new InputError(`scenario ${name}: CPU ${offline} cannot go offline; CPU 0 stays`);
  }
  if (platform === 'pv' && (plot.name === 'kdump' || plot.name === 'kexec')) {
    throw new InputError(`scenario ${name}: a PV guest has no soft reset, so no ${plot.name}`);
  }
}

/** The surroundings of a scenario's guest, which a search hands to `enabled` and `stepVcpu`. Throws InputError. */
export function environmentOf(scenario: Scenario, options: RunOptions = {}): Environment {
  check(scenario);
  policyNamed(scenario.idPolicy);
  return {
    scenario,
    platform: platformOf(scenario),
    firmware: options.firmware ?? firmwareOf(scenario),
    program: options.program ?? linuxProgram,
    strategies: options.strategies ?? strategies,
    interposers: options.interposers ?? {},
  };
}

/** The vCPU that runs, or last ran, as that CPU of that kernel; null when none ever did. */
function vcpuRunning(vcpus: readonly GuestVcpu[], kernel: number, cpu: number): XenVcpuId | null {
  const vcpu = vcpus.findIndex((guest) => guest.kernel === kernel && guest.linuxCpu === cpu);
  return vcpu < 0 ? null : xenVcpuId(vcpu);
}

function rowsOf({ guest }: World, kernel: KernelState, everRan: ReadonlyMap<string, XenVcpuId>): CpuRow[] {
  return kernel.cpus.map(({ linuxCpu: number, hardwareId, online }) => ({
    kernel: kernel.index,
    linuxCpu: number,
    hardwareId,
    vcpu: everRan.get(`${kernel.index}/${number}`) ?? vcpuRunning(guest.vcpus, kernel.index, number),
    recorded: recordOf(kernel.map, linuxCpu(number))?.value ?? null,
    online,
  }));
}

/**
 * Runs `scenario` to its end. The same scenario and options give the same run. Throws InputError on a scenario that
 * contradicts itself or names an id policy that there is not.
 */
export function runScenario(scenario: Scenario, options: RunOptions = {}): ModelRun {
  const environment = environmentOf(scenario, options);
  const world = createWorld(scenario);
  const events = runToEnd(world, environment, options.observe);
  const { platform } = environment;
  const everRan = new Map<string, XenVcpuId>();
  for (const event of events) {
    if (event.kind === 'running') everRan.set(`${event.kernel}/${event.linuxCpu}`, event.vcpu);
  }
  const { outcome, why } = world.guest.end ?? { outcome: 'hang' as const, why: '' };
  return {
    scenario,
    platform,
    events,
    calls: judgeCalls({ platform, events }),
    findings: audit({ platform, events }),
    cpus: world.guest.kernels.flatMap((kernel) => rowsOf(world, kernel, everRan)),
    outcome,
    ending: why,
  };
}
