/**
 * explore: model guests that perform what Linux performs, step by step, against the real hypervisor core; the
 * stories told with them and the matrix over all of them.
 */
export type * from './scenario.js';
export { linux48, linux517, linux61, linux69 } from './eras.js';

// The models: what a run is made of, and the steps of which it is made.
export type { Environment, Firmware, StepContext } from './model/context.js';
export { callingStep, eventChannelOp, hvmOp, vcpuOp } from './model/calls.js';
export type { Answer, Argument, GuestCall } from './model/calls.js';
export type { Interposers, Occasion } from './model/interposers.js';
export { configNrCpus } from './model/kernel.js';
export { createWorld, firmwareOf, platformOf } from './model/platform.js';
export type { Flow, Program, Routine, Step } from './model/program.js';
export { linuxProgram } from './model/routines/index.js';
export { canStep, enabled, stepVcpu } from './model/step.js';
export { strategies } from './model/strategies.js';
export type { Moment, RecordRule, Strategy } from './model/strategies.js';
export { cloneWorld, hashWorld, worldFromJson, worldToJson } from './model/world.js';
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
} from './model/world.js';

// Runs by the one canonical schedule: of one scenario, and of the matrix over all of them.
export { matrixScenarios, runMatrix } from './matrix.js';
export type { MatrixCell, MatrixRow } from './matrix.js';
export { environmentOf, runScenario } from './run.js';
export type { RunOptions } from './run.js';
export { passTime, runToEnd, whyHung } from './schedule.js';
export type { Observer } from './schedule.js';

// The told stories, and what is drawn of a run.
export { answerText, idText } from './answers.js';
export { sequenceOf } from './telling/sequence.js';
export type * from './telling/sequence.js';
export { stories } from './telling/stories/index.js';
export { tellStory, tellThread } from './telling/story.js';
export type { Story, ToldStory } from './telling/story.js';
export { tallyOf } from './telling/tally.js';
export type { Tally } from './telling/tally.js';
