/**
 * What a model guest is made of. A routine is a named table of steps; a vCPU is a stack of places in routines. A
 * step does at most one thing that another vCPU or Xen could see in between: one hypercall, one request to start
 * or stop a CPU, or one record. So every interleaving of steps is one that real CPUs could show.
 */
import { present } from '../../base/index.js';
import type { StepContext } from './context.js';
import type { Frame, Scalar, Vars } from './world.js';

/** Where a vCPU goes after a step. */
export type Flow =
  | { readonly kind: 'next' }
  /** The same step again. */
  | { readonly kind: 'stay' }
  | { readonly kind: 'goto'; readonly label: string }
  /** Into a routine; when that returns, its value stands in `vars.result` and the next step follows. */
  | { readonly kind: 'call'; readonly routine: string; readonly vars: Vars }
  | { readonly kind: 'return'; readonly value: Scalar }
  /** Into a routine that never returns: all that the vCPU was in the middle of is forgotten. */
  | { readonly kind: 'become'; readonly routine: string; readonly vars: Vars };

export interface Step {
  readonly label: string;
  /** Whether the step can be taken now; absent means always. A vCPU whose step is not ready waits. */
  ready?(context: StepContext): boolean;
  /** The system time, ns, from which on the step is ready whatever `ready` says; null for none. */
  deadline?(context: StepContext): number | null;
  /** For a wait: whether interrupts are taken meanwhile. */
  readonly interruptible?: boolean;
  /** For a wait: it is for another CPU of this guest, so that what that one waits for says more. */
  readonly behind?: boolean;
  /** For a wait: what for, in a few words. */
  waitsFor?(context: StepContext): string;
  run(context: StepContext): Flow;
}

export interface Routine {
  /** The kernel's phase while it is in here; null: its caller's. */
  readonly phase: string | null;
  readonly steps: readonly Step[];
}

/** Everything that a guest can do, by name of the routine. A parameter of a run, never a global. */
export type Program = Readonly<Record<string, Routine>>;

export const next: Flow = { kind: 'next' };
export const stay: Flow = { kind: 'stay' };
export const done: Flow = { kind: 'return', value: null };

export function goto(label: string): Flow {
  return { kind: 'goto', label };
}

export function call(routine: string, vars: Vars = {}): Flow {
  return { kind: 'call', routine, vars };
}

export function returning(value: Scalar): Flow {
  return { kind: 'return', value };
}

export function become(routine: string, vars: Vars = {}): Flow {
  return { kind: 'become', routine, vars };
}

export function routine(phase: string | null, steps: readonly Step[]): Routine {
  return { phase, steps };
}

/** A step that can always be taken. */
export function step(label: string, run: (context: StepContext) => Flow): Step {
  return { label, run };
}

/** A step that only goes into another routine. */
export function callStep(
  label: string,
  name: string,
  vars: (context: StepContext) => Vars = () => ({}),
): Step {
  return { label, run: (context) => call(name, vars(context)) };
}

/** The same wait, for what another CPU of the guest is to do. */
export function behind(step: Step): Step {
  return { ...step, behind: true };
}

/** A step that waits, with interrupts on, until `ready`, and goes on. */
export function wait(
  label: string,
  waitsFor: (context: StepContext) => string,
  ready: (context: StepContext) => boolean,
): Step {
  return { label, ready, interruptible: true, waitsFor, run: () => next };
}

export function routineOf(program: Program, name: string): Routine {
  return present(program[name], `routine ${name}`);
}

/** The step that `frame` comes to next. */
export function stepOf(program: Program, frame: Frame): Step {
  const { steps } = routineOf(program, frame.routine);
  return present(
    steps.find(({ label }) => label === frame.step),
    `step ${frame.step} of routine ${frame.routine}`,
  );
}

/** The place at the start of a routine. */
export function enter(program: Program, name: string, vars: Vars, interrupt = false): Frame {
  const [first] = routineOf(program, name).steps;
  return { routine: name, step: present(first, `a step in routine ${name}`).label, vars, interrupt };
}

/** The stack after a step of its innermost frame that went by `flow`. May change the frames themselves. */
export function follow(program: Program, frames: Frame[], flow: Flow): Frame[] {
  switch (flow.kind) {
    case 'stay':
      return frames;
    case 'become':
      return [enter(program, flow.routine, flow.vars)];
    case 'call':
      // The caller moves on only when the callee returns, so that its place shows what it is at.
      return [...frames, enter(program, flow.routine, flow.vars)];
    case 'goto':
      present(frames.at(-1), 'a frame').step = flow.label;
      return frames;
    case 'next':
      return advance(program, frames);
    case 'return':
      return leave(program, frames, flow.value);
  }
}

/** Past the present step of the innermost frame; past the last one is a return without a value. */
function advance(program: Program, frames: Frame[]): Frame[] {
  const frame = present(frames.at(-1), 'a frame');
  const { steps } = routineOf(program, frame.routine);
  const following = steps[steps.findIndex(({ label }) => label === frame.step) + 1];
  if (following === undefined) return leave(program, frames, null);
  frame.step = following.label;
  return frames;
}

/** The caller takes `value` and goes on past its call. What was interrupted takes nothing and stays where it is. */
function leave(program: Program, frames: Frame[], value: Scalar): Frame[] {
  const left = present(frames.at(-1), 'a frame');
  const rest = frames.slice(0, -1);
  const caller = rest.at(-1);
  if (left.interrupt || caller === undefined) return rest;
  caller.vars['result'] = value;
  return advance(program, rest);
}
