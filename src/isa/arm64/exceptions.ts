/**
 * Instructions that generate an exception or return from one (DDI 0487, C4.1.93): SVC, HVC, SMC, BRK, HLT, ERET, UDF.
 */
import { instruction } from './encoding.js';
import type { A64Instruction } from './encoding.js';
import type { Mode } from './registers.js';
import type { A64SystemCall } from './system_calls.js';
import { hex, immediate, unsigned } from './operands.js';

const privileged = (_fields: unknown, mode: Mode): boolean => mode !== 'EL0t';

const anywhere = (): boolean => true;

const imm16 = immediate({ ...unsigned('imm16', 16, 64), format: hex });

/** An exception-generating instruction with a 16-bit immediate, which is passed to the call. */
function generating(
  mnemonic: string,
  opc: string,
  ll: string,
  call: A64SystemCall,
  allocated: (fields: unknown, mode: Mode) => boolean = anywhere,
): A64Instruction {
  return instruction({
    name: `${mnemonic.toUpperCase()}_EX_exception`,
    pattern: `11010100 ${opc} imm16:16 000 ${ll}`,
    cold: true,
    allocated,
    operands: { imm: imm16 },
    text: `${mnemonic} {imm}`,
    semantics: (m, o) => m.system(call, [o.imm]),
  });
}

export const exceptions: readonly A64Instruction[] = [
  generating('svc', '000', '01', 'supervisorCall'),
  generating('hvc', '000', '10', 'hypervisorCall', privileged),
  generating('smc', '000', '11', 'secureMonitorCall', privileged),
  generating('brk', '001', '00', 'breakpoint'),
  // HLT is Undefined if no debugger can halt the CPU (DDI 0487, HLT).
  generating('hlt', '010', '00', 'undefined'),
  instruction({
    name: 'ERET_64E_branch_reg',
    pattern: '1101011 0100 11111 000000 11111 00000',
    cold: true,
    allocated: privileged,
    operands: {},
    text: 'eret',
    semantics: (m) => m.system('exceptionReturn'),
  }),
  instruction({
    name: 'UDF_only_perm_undef',
    pattern: '0000000000000000 imm16:16',
    cold: true,
    operands: { imm: immediate(unsigned('imm16', 16, 32)) },
    text: 'udf {imm}',
    semantics: (m) => m.system('undefined'),
  }),
];
