/**
 * explore: model guests that perform what Linux performs, step by step, against the real hypervisor core; the
 * stories told with them and the matrix over all of them.
 */
export type * from './scenario.js';

// The models: what a run is made of, and the steps of which it is made.
export type { Environment, Firmware, StepContext } from './context.js';
export { callingStep, eventChannelOp, hvmOp, vcpuOp } from './calls.js';
export type { Answer, Argument, GuestCall } from './calls.js';
export type { Interposers, Occasion } from './interposers.js';
export { configNrCpus } from './kernel.js';
export { createWorld, firmwareOf, platformOf } from './platform.js';
export { matrixScenarios, runMatrix } from './matrix.js';
export type { MatrixCell, MatrixRow } from './matrix.js';
export type { Flow, Program, Routine, Step } from './program.js';
export { linuxProgram } from './routines/index.js';
export { environmentOf, runScenario } from './run.js';
export type { RunOptions } from './run.js';
export { passTime, runToEnd, whyHung } from './schedule.js';
export type { Observer } from './schedule.js';
export { canStep, enabled, stepVcpu } from './step.js';
export { strategies } from './strategies.js';
export type { Moment, RecordRule, Strategy } from './strategies.js';
export { cloneWorld, hashWorld, worldFromJson, worldToJson } from './world.js';
export type {
  CpuState,
  Frame,
  GuestEnd,
  GuestState,
  GuestVcpu,
  KernelState,
  Place,
  PortUse,
  Scalar,
  Vars,
  World,
} from './world.js';

// The told stories, and what is drawn of a run.
export { answerText, idText } from './answers.js';
export { sequenceOf } from './sequence.js';
export type * from './sequence.js';
export { stories } from './stories/index.js';
export { tellStory, tellThread } from './story.js';
export type { Story, ToldStory } from './story.js';
export { tallyOf } from './tally.js';
export type { Tally } from './tally.js';
