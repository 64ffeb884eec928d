/** What the micro-operations of a handler mean within the interpreter's large function. */
import { InvariantError } from '../base/index.js';
import type { CodeModel } from './architecture.js';
import type { Environment } from './emit.js';
import type { Handler, HandlerPlan } from './handlers.js';
import type { InterpreterBuilder } from './interpreter_function.js';
import { accessEmitters } from './memory_access.js';
import type { AccessEnvironment } from './memory_access.js';
import { recordLayout } from './record.js';
import { ifStackMisaligned, operandReader } from './record_operands.js';

export function handlerEnvironment(
  builder: InterpreterBuilder,
  handler: Handler,
  model: CodeModel,
  { choices }: HandlerPlan,
): Environment {
  const { code, local } = builder;
  const { instruction, stack } = handler;
  const layout = recordLayout(instruction);
  const access: AccessEnvironment = {
    locals: { ...local, vector: -1 },
    unaligned: model.unaligned,
    missed: { giveUpIf: () => builder.giveUpIf() },
  };
  const environment: Environment = {
    code,
    cpu: local.cpu,
    flagSet: model.flags,
    flags: local.flags,
    saturation: model.floatRegisters.saturation,
    ...operandReader(code, model, layout, stack, local.flags),
    pc: () => builder.pushPc(),
    record: () => code.get(local.record),
    limit: () => code.get(local.limit),
    local: (index, type) => builder.pool.local(index, type),
    ...accessEmitters(() => environment, access),
    loadVector: () => refuseVector(handler),
    storeVector: () => refuseVector(handler),
    float: () => refuseVector(handler),
    jump: (statement) => builder.jump(environment, handler, statement),
    system: () => builder.giveUp(),
    checkStack: (operand) => {
      const { stackOperand = null } = choices.get(instruction.name) ?? {};
      // If the stack pointer has a handler of its own, this handler never sees it.
      if (stack === null && stackOperand !== null) return;
      ifStackMisaligned(code, model, layout, stack, operand);
      builder.nest(1);
      builder.giveUp();
      builder.nest(-1);
      code.end();
    },
    nest: (by) => builder.nest(by),
  };
  return environment;
}

/** Vector instructions never have a handler in the large function. */
function refuseVector({ instruction: { name } }: Handler): never {
  throw new InvariantError(`${name} must be cold`);
}
