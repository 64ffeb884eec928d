/**
 * Mutations that put one error into a run: into a guest's call, its handling of an answer, the steps of its program,
 * its map of ids, the firmware's tables, or the hypervisor. Each calls `hit` when it takes effect, so that a test can
 * check that it did.
 */
import {
  __HYPERVISOR_event_channel_op,
  __HYPERVISOR_hvm_op,
  __HYPERVISOR_sched_op,
  __HYPERVISOR_vcpu_op,
  EVTCHNOP_names,
  HVMOP_names,
  SCHEDOP_names,
  VCPUOP_names,
} from '../../src/abi/index.js';
import type { DeviceTree, Madt, Names } from '../../src/abi/index.js';
import { present } from '../../src/base/index.js';
import { firmwareOf, linuxProgram, strategies } from '../../src/explore/index.js';
import type {
  GuestCall,
  Occasion,
  PlatformName,
  Program,
  RecordRule,
  RunOptions,
  Scenario,
  Step,
  StepContext,
  StrategyName,
  World,
} from '../../src/explore/index.js';
import type { CallRecord } from '../../src/hypervisor/index.js';

export type Hit = () => void;
/** An error, or an oddity, as options of a run. */
export type Mutation = (hit: Hit) => RunOptions;

const families: Readonly<Record<number, Names>> = {
  [__HYPERVISOR_vcpu_op]: VCPUOP_names,
  [__HYPERVISOR_event_channel_op]: EVTCHNOP_names,
  [__HYPERVISOR_hvm_op]: HVMOP_names,
  [__HYPERVISOR_sched_op]: SCHEDOP_names,
};

/** The operation, such as `VCPUOP_up`; empty for calls that no seed names. */
export function opOf({ number, command }: GuestCall): string {
  return families[number]?.[command] ?? '';
}

/** The vCPU id in a call; null if it has none. */
export function idOf({ vcpuId, argument }: GuestCall): number | null {
  if (vcpuId !== null) return vcpuId;
  const id = argument?.value['vcpu'];
  return typeof id === 'number' ? id : null;
}

function withId(call: GuestCall, id: number): GuestCall {
  if (call.vcpuId !== null) return { ...call, vcpuId: id };
  const argument = present(call.argument, 'the struct that carries the id');
  return { ...call, argument: { ...argument, value: { ...argument.value, vcpu: id } } };
}

/** Selects the calls that an error affects. */
export type Where = (occasion: Occasion, id: number) => boolean;
export const everywhere: Where = () => true;
/** Selects the calls of CPU `cpu`. */
export const byCpu =
  (cpu: number): Where =>
  ({ linuxCpu }) =>
    linuxCpu === cpu;
/** Selects the calls that carry `id`. */
export const withIdOf =
  (id: number): Where =>
  (_occasion, carried) =>
    carried === id;
export const inKernel =
  (kernel: number): Where =>
  (occasion) =>
    occasion.kernel === kernel;
export const both =
  (...all: Where[]): Where =>
  (occasion, id) =>
    all.every((where) => where(occasion, id));

/** Replaces the id in calls of `op` by the result of `wrong` for the right one. */
export function wrongId(
  op: string,
  where: Where,
  wrong: (id: number, occasion: Occasion) => number,
): Mutation {
  return (hit) => ({
    interposers: {
      beforeCall(occasion, call) {
        const id = idOf(call);
        if (opOf(call) !== op || id === null || !where(occasion, id)) return call;
        const other = wrong(id, occasion);
        if (other === id) return call;
        hit();
        return withId(call, other);
      },
    },
  });
}

/** The guest treats a refusal of `op` as success. */
export function ignoredError(op: string): Mutation {
  return (hit) => ({
    interposers: {
      afterCall(_occasion, record) {
        if (record.op !== op || record.returned >= 0) return record;
        hit();
        return { ...record, returned: 0 };
      },
    },
  });
}

type Answers = (record: CallRecord, occasion: Occasion) => number | null;

/** The hypervisor gives another answer to `op` where `answers` returns a number. */
export function wrongAnswer(op: string, answers: Answers): Mutation {
  return (hit) => ({
    interposers: {
      faultyAnswer(occasion, record) {
        const returned = record.op === op ? answers(record, occasion) : null;
        if (returned === null || returned === record.returned) return record;
        hit();
        return { ...record, returned };
      },
    },
  });
}

/** The hypervisor changes the domain after it has granted `op`. */
export function afterGrant(op: string, act: (world: World, record: CallRecord) => boolean): Mutation {
  return (hit) => ({
    interposers: {
      afterCall(occasion, record) {
        if (record.op === op && record.returned >= 0 && act(occasion.world, record)) hit();
        return record;
      },
    },
  });
}

type VcpuStates = World['domain']['state']['vcpus'];
type EventState = World['domain']['state']['events'];

/** The state of a domain before its reset. */
export interface Before {
  readonly vcpus: VcpuStates;
  readonly events: EventState;
}

/** A soft reset after which the hypervisor keeps some of the old state. */
export function keptOverReset(keep: (world: World, before: Before) => void): Mutation {
  let before: Before | null = null;
  return (hit) => ({
    interposers: {
      beforeCall({ world }, call) {
        const { vcpus, events } = structuredClone(world.domain.state);
        if (opOf(call) === 'SCHEDOP_shutdown') before = { vcpus, events };
        return call;
      },
      afterCall({ world }, record) {
        if (record.op !== 'SCHEDOP_shutdown' || before === null) return record;
        hit();
        keep(world, before);
        return record;
      },
    },
  });
}

/** Changes the domain after step `label` of routine `name`. */
export function afterStep(name: string, label: string, act: (occasion: Occasion) => boolean): Mutation {
  return (hit) => ({
    interposers: {
      afterStep(occasion) {
        if (occasion.routine === name && occasion.step === label && act(occasion)) hit();
      },
    },
  });
}

/** Replaces the steps of routine `name` by the result of `change`. */
export function withSteps(
  name: string,
  change: (steps: readonly Step[], hit: Hit) => readonly Step[],
): Mutation {
  return (hit) => {
    const { phase, steps } = present(linuxProgram[name], `routine ${name}`);
    const program: Program = { ...linuxProgram, [name]: { phase, steps: change(steps, hit) } };
    return { program };
  };
}

/** `step`, with a report when it runs. */
function counted(step: Step, hit: Hit): Step {
  return {
    ...step,
    run(context) {
      hit();
      return step.run(context);
    },
  };
}

export function find(steps: readonly Step[], label: string): Step {
  return present(
    steps.find((step) => step.label === label),
    `step ${label}`,
  );
}

/** Replaces step `label` of routine `name`. */
export function withStep(name: string, label: string, change: (step: Step, hit: Hit) => Step): Mutation {
  return withSteps(name, (steps, hit) => {
    const found = find(steps, label);
    return steps.map((step) => (step === found ? change(step, hit) : step));
  });
}

/** Skips the step where `where` holds. */
export function skipped(
  name: string,
  label: string,
  where: (context: StepContext) => boolean = () => true,
): Mutation {
  return withStep(name, label, (step, hit) => ({
    ...step,
    run(context) {
      if (!where(context)) return step.run(context);
      hit();
      return { kind: 'next' };
    },
  }));
}

/** Moves step `label` of routine `name` after step `later`, which then comes too early. */
export function delayed(name: string, label: string, later: string): Mutation {
  return withSteps(name, (steps, hit) => {
    const moved = find(steps, label);
    const last = find(steps, later);
    return steps
      .filter((step) => step !== moved)
      .flatMap((step) => (step === last ? [counted(step, hit), moved] : [step]));
  });
}

/** Runs step `label` of routine `name` twice. */
export function twice(name: string, label: string): Mutation {
  return withSteps(name, (steps, hit) =>
    steps.flatMap((step) =>
      step.label === label ? [step, counted({ ...step, label: `${label}, again` }, hit)] : [step],
    ),
  );
}

/** Inserts steps before step `label` of routine `name`. */
export function inserted(name: string, label: string, others: readonly Step[]): Mutation {
  return withSteps(name, (steps, hit) => {
    const place = find(steps, label);
    return steps.flatMap((step) =>
      step === place ? [...others.map((other) => counted(other, hit)), step] : [step],
    );
  });
}

/** The request to start CPU `cpu` has another hardware id. */
export function wrongStart(
  name: string,
  label: string,
  cpu: number,
  wrong: (context: StepContext) => number,
): Mutation {
  return withStep(name, label, (step, hit) => ({
    ...step,
    run(context) {
      if (context.vars['cpu'] !== cpu) return step.run(context);
      const subject = present(context.kernel.cpus[cpu], `CPU ${cpu}`) as { hardwareId: number | null };
      const right = subject.hardwareId;
      subject.hardwareId = wrong(context);
      hit();
      const flow = step.run(context);
      subject.hardwareId = right;
      return flow;
    },
  }));
}

/** The kernel sets its records by other rules. The run must show whether that makes a difference. */
export function withRules(
  strategy: StrategyName,
  platform: PlatformName,
  rules: readonly RecordRule[],
): Mutation {
  return (hit) => {
    hit();
    const known = strategies[strategy];
    const changed = { ...known, rules: { ...known.rules, [platform]: rules } };
    return { strategies: { ...strategies, [strategy]: changed } };
  };
}

/** Changes the firmware's MADT. */
export function withMadt(scenario: Scenario, change: (madt: Madt) => Madt): Mutation {
  return (hit) => {
    const firmware = firmwareOf(scenario);
    const madt = change(present(firmware.madt, 'a MADT'));
    hit();
    return { firmware: { ...firmware, madt } };
  };
}

/** Changes the firmware's device tree. */
export function withDeviceTree(scenario: Scenario, change: (tree: DeviceTree) => DeviceTree): Mutation {
  return (hit) => {
    const firmware = firmwareOf(scenario);
    const deviceTree = change(present(firmware.deviceTree, 'a device tree'));
    hit();
    return { firmware: { ...firmware, deviceTree } };
  };
}

/** Two mutations at once. `hit` is called only if both take effect. */
export function together(one: Mutation, other: Mutation): Mutation {
  return (hit) => {
    const effects = [0, 0];
    const tell = (which: number) => (): void => {
      effects[which] = 1;
      if (effects[0] === 1 && effects[1] === 1) hit();
    };
    const [first, second] = [one(tell(0)), other(tell(1))];
    const interposers = { ...first.interposers, ...second.interposers };
    return { ...first, ...second, interposers };
  };
}
