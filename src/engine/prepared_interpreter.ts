/**
 * The interpreter of a code model as a value: its plan and its modules. Building it takes tenths of a second, so that of the bundled
 * command is prepared (base/prepared.ts).
 */
import { prepared, present } from '../base/index.js';
import type { FloatOperation, Instruction } from '../isa/index.js';
import type { PreparedBytes } from '../base/index.js';
import type { CodeModel } from './architecture.js';
import { planHandlers } from './handlers.js';
import type { HandlerChoice, HandlerPlan } from './handlers.js';
import { batchCount, buildBatch, buildInterpreter } from './interpreter.js';
import type { ColdBatch } from './interpreter.js';

/** A choice as a list of its members; a number if an instruction has its plain handler only. */
type ChoiceValue =
  | number
  | readonly [
      plain: number,
      near: number | null,
      nearOperand: string | null,
      stack: number | null,
      stackOperand: string | null,
    ];

/** A plan; instructions by their index in the model. */
interface PlanValue {
  /** Their names. */
  readonly instructions: readonly string[];
  readonly handlers: readonly (readonly [instruction: number, near: string | null, stack: string | null])[];
  readonly unfailing: number;
  readonly hot: number;
  /** By instruction. */
  readonly choices: readonly ChoiceValue[];
}

interface InterpreterValue<Bytes> {
  readonly plan: PlanValue;
  readonly module: Bytes;
  readonly batches: readonly {
    readonly module: Bytes;
    readonly numbers: readonly number[];
    readonly floatOperations: readonly FloatOperation[];
  }[];
}

/** The plan and the encoded modules of an interpreter. */
export interface Interpreter {
  readonly plan: HandlerPlan;
  readonly module: Uint8Array<ArrayBuffer>;
  readonly batch: (number: number) => ColdBatch;
}

/** A plan as a value. */
export function planValue(
  { handlers, unfailing, hot, choices }: HandlerPlan,
  instructions: readonly Instruction[],
): PlanValue {
  const indexes = new Map(instructions.map((instruction, index) => [instruction, index]));
  return {
    instructions: instructions.map(({ name }) => name),
    handlers: handlers.map(({ instruction, near, stack }) => [
      present(indexes.get(instruction), instruction.name),
      near,
      stack,
    ]),
    unfailing,
    hot,
    choices: instructions.map(({ name }) => {
      const { plain, near, nearOperand, stack, stackOperand } = present(choices.get(name), name);
      return near === null && stack === null ? plain : [plain, near, nearOperand, stack, stackOperand];
    }),
  };
}

function choiceOf(value: ChoiceValue): HandlerChoice {
  const [plain, near, nearOperand, stack, stackOperand] =
    typeof value === 'number' ? ([value, null, null, null, null] as const) : value;
  return { plain, near, nearOperand, stack, stackOperand };
}

/** The plan of a value, for the model of whose instructions it is. */
export function planOf(
  { instructions: names, handlers, unfailing, hot, choices }: PlanValue,
  model: Pick<CodeModel, 'instructions'>,
): HandlerPlan {
  return {
    // Not before they are asked for: they ask for the definitions of all instructions.
    get handlers() {
      return handlers.map(([index, near, stack]) => ({
        instruction: present(model.instructions[index], 'an instruction'),
        near,
        stack,
      }));
    },
    unfailing,
    hot,
    choices: new Map(names.map((name, index) => [name, choiceOf(choices[index] ?? 0)])),
  };
}

/** The interpreter of a model as a value, with all its batches: what is prepared under its name. */
export function interpreterValue(model: CodeModel): InterpreterValue<Uint8Array> {
  const plan = planHandlers(model.instructions);
  return {
    plan: planValue(plan, model.instructions),
    module: buildInterpreter(plan, model),
    batches: Array.from({ length: batchCount(plan) }, (_, number) => buildBatch(plan, model, number)),
  };
}

/** The interpreter of a model: the prepared one, or one that is built now. */
export function interpreterFor(model: CodeModel): Interpreter {
  const ready = prepared(`interpreter ${model.name}`);
  if (ready === null) {
    const plan = planHandlers(model.instructions);
    return {
      plan,
      module: buildInterpreter(plan, model),
      batch: (number) => buildBatch(plan, model, number),
    };
  }
  const { plan, module, batches } = ready.value as InterpreterValue<PreparedBytes>;
  return {
    plan: planOf(plan, model),
    module: ready.bytes(module),
    batch: (number) => {
      const batch = present(batches[number], 'a prepared batch');
      return { ...batch, module: ready.bytes(batch.module) };
    },
  };
}
