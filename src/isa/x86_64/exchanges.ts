/** Compare and exchange, exchange and add (Intel SDM, volume 1, 7.3.1.2): CMPXCHG, CMPXCHG8B, CMPXCHG16B, XADD. */
import type { Semantics } from '../semantics.js';
import { allSizes } from './arithmetic.js';
import { instruction } from './encoding.js';
import type { Form } from './encoding.js';
import { add, setZero, subtract } from './flags.js';
import { alignedAddress, beforeWrite, fixed, reg, writtenMemory, writtenRm } from './operands.js';
import type { Place, Value } from './operands.js';

/** Memory is written in any case, with what it had; a register, also its upper half, stays if it is not equal. */
function compareExchange(m: Semantics, { d, s, a }: { d: Place; s: Value; a: Place }, form: Form): void {
  const [old, expected, value] = [d.get(), a.get(), s.get()];
  const { setFlags } = subtract(m, d.bits, expected, old);
  const isEqual = m.let(m.equal(expected, old));
  if (form.memory) d.set(m.select(isEqual, value, old));
  else m.when(isEqual, () => d.set(value));
  m.when(m.negate(isEqual), () => a.set(old));
  setFlags();
}

function exchangeAdd(m: Semantics, { d, s }: { d: Place; s: Place }): void {
  const [old, value] = [d.get(), s.get()];
  const { result, setFlags } = add(m, d.bits, old, value);
  // With one register as both operands, the sum stays.
  s.set(old);
  d.set(result);
  setFlags();
}

export const exchangeInstructions = [
  instruction({ name: 'CMPXCHG_rm8_r8', opcode: '0F B0 /r', lockable: true, operands: { d: writtenRm(8), s: reg(8), a: fixed('rax', 8) }, text: 'cmpxchg {s},{d}', semantics: compareExchange }),
  instruction({ name: 'CMPXCHG_rm_r', opcode: '0F B1 /r', sizes: allSizes, lockable: true, operands: { d: writtenRm(), s: reg(), a: fixed('rax') }, text: 'cmpxchg {s},{d}', semantics: compareExchange }),
  instruction({ name: 'XADD_r8_r8', opcode: '0F C0 /r', lockable: true, only: 'r', operands: { d: writtenRm(8), s: reg(8) }, text: 'xadd {s},{d}', semantics: exchangeAdd }),
  instruction({ name: 'XADD_r_r', opcode: '0F C1 /r', sizes: allSizes, lockable: true, only: 'r', operands: { d: writtenRm(), s: reg() }, text: 'xadd {s},{d}', semantics: exchangeAdd }),
  instruction({ name: 'XADD_m8_r8', opcode: '0F C0 /r', lockable: true, only: 'm', operands: { d: writtenRm(8), s: reg(8) }, text: 'xadd {s},{d}', semantics: exchangeAddInMemory }),
  instruction({ name: 'XADD_m_r', opcode: '0F C1 /r', sizes: allSizes, lockable: true, only: 'm', operands: { d: writtenRm(), s: reg() }, text: 'xadd {s},{d}', semantics: exchangeAddInMemory }),
  instruction({
    name: 'CMPXCHG8B_m64', opcode: '0F C7 /1', only: 'm', lockable: true, cold: true, allocated: ({ wide }) => wide === 0,
    operands: { d: writtenMemory(64), a: fixed('rax', 32), high: fixed('rdx', 32), low: fixed('rbx', 32), upper: fixed('rcx', 32) },
    text: 'cmpxchg8b {d}',
    semantics: (m, { d, a, high, low, upper }) => {
      const pair = (above: Value, below: Value) => m.let(m.or(m.shiftBy('shl', m.resize(64, above.get()), 32), m.resize(64, below.get())));
      const [old, expected, value] = [d.get(), pair(high, a), pair(upper, low)];
      const isEqual = m.let(m.equal(old, expected));
      d.set(m.select(isEqual, value, old));
      m.when(m.negate(isEqual), () => {
        a.set(m.resize(32, old));
        high.set(m.resize(32, m.shiftBy('shrUnsigned', old, 32)));
      });
      setZero(m, isEqual);
    },
  }),
  instruction({
    name: 'CMPXCHG16B_m128', opcode: '0F C7 /1', feature: 'cx16', sizes: [64], modes: [64], only: 'm', lockable: true, cold: true, allocated: ({ wide }) => wide === 1,
    operands: { d: writtenMemory(64), a: fixed('rax', 64), high: fixed('rdx', 64), low: fixed('rbx', 64), upper: fixed('rcx', 64) },
    text: 'cmpxchg16b {d}',
    semantics: (m, { d, a, high, low, upper }, form) => {
      const at = alignedAddress(m, d, form);
      const above = m.let(m.add(at, m.constant(64, 8)));
      const [old, oldHigh] = [m.load(8, at, beforeWrite), m.load(8, above, beforeWrite)];
      const isEqual = m.let(m.and(m.equal(old, a.get()), m.equal(oldHigh, high.get())));
      m.store(8, at, m.select(isEqual, low.get(), old));
      m.store(8, above, m.select(isEqual, upper.get(), oldHigh));
      m.when(m.negate(isEqual), () => {
        a.set(old);
        high.set(oldHigh);
      });
      setZero(m, isEqual);
    },
  }),
].flat(); // prettier-ignore

/** The memory is written first, because that may fault. */
function exchangeAddInMemory(m: Semantics, { d, s }: { d: Place; s: Place }): void {
  const [old, value] = [d.get(), s.get()];
  const { result, setFlags } = add(m, d.bits, old, value);
  d.set(result);
  s.set(old);
  setFlags();
}
