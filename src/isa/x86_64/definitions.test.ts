/** What has to hold for all definitions together. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Statement } from '../micro_ops.js';
import { makeDecoder } from './decoder.js';
import { matches, printInstruction, specificity } from './encoding.js';
import type { Encoding } from './encoding.js';
import { x86Flags } from './flags.js';
import { x86 } from './index.js';
import { parse } from './parser.js';
import { modes, x86State } from './registers.js';
import { x86SystemCalls } from './system_calls.js';

const encodings: readonly Encoding[] = [...new Set(x86.map(({ encoding }) => encoding))];

test('names are unique', () => {
  const names = x86.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  assert.equal(new Set(encodings.map(({ name }) => name)).size, encodings.length);
});

/** All objects within a value. */
function* nodesOf(tree: object): Generator<Record<string, unknown>> {
  yield tree as Record<string, unknown>;
  for (const inner of Object.values(tree) as unknown[]) {
    if (typeof inner === 'object' && inner !== null) yield* nodesOf(inner);
  }
}

test('semantics name their own operands, the flags and the system calls', () => {
  const wrong = x86.flatMap(({ name, operands, semantics }) =>
    [...nodesOf(semantics.statements)].flatMap((node) => {
      const { op, operand, flag, flags } = node;
      if (typeof operand === 'string' && operands[operand] === undefined)
        return [`${name}: operand ${operand}`];
      if (op === 'flag' && !Object.hasOwn(x86Flags, String(flag))) return [`${name}: flag ${String(flag)}`];
      if (op === 'setFlags' && !Object.keys(flags as object).every((each) => Object.hasOwn(x86Flags, each)))
        return [`${name}: flags`];
      const isCall = (x86SystemCalls as readonly unknown[]).includes(node['name']);
      return op === 'system' && !isCall ? [`${name}: call ${String(node['name'])}`] : [];
    }),
  );
  assert.deepEqual(wrong, []);
});

const changing = ['setRegister', 'setFlags', 'setState', 'setVector', 'setElement'];
/** They change cumulative flags, and the host sees to these where an exception is not masked. */
const computing = ['float'];
const afterComputing = 'endUnmaskedFloat';
const mayFault = ['load', 'store', 'loadVector', 'storeVector', 'system'];
/** Calls that raise nothing. The last one does nothing more if it is repeated. */
const raisingNothing = ['readMmx', 'writeMmx', 'enterMmx', 'beginUnmaskedFloat'];
const changingCall = 'writeMmx';

/** Slots that only the host's call in the same instruction reads. */
const scratch: readonly number[] = [x86State.x87Opcode, x86State.x87Operand];
const isScratch = (statement: Statement): boolean =>
  statement.op === 'setState' && scratch.includes(statement.place);

/** Whether something that may fault, but for a call, follows a change; `changed` says whether a change came before. Null if so. */
function changedBy(
  statements: readonly Statement[],
  changed: boolean,
  changes: readonly string[] = changing,
  exempt: string | null = null,
): boolean | null {
  let state = changed;
  for (const statement of statements) {
    if (statement.op === 'if') {
      const branches = [statement.then, statement.otherwise].map((each) =>
        changedBy(each, state, changes, exempt),
      );
      if (branches.includes(null)) return null;
      state = branches.includes(true);
    }
    const call = statement.op === 'system' ? statement.name : '';
    const isExempt = call === exempt || raisingNothing.includes(call);
    if (state && mayFault.includes(statement.op) && !isExempt) return null;
    state ||=
      (changes.includes(statement.op) && !isScratch(statement)) ||
      (changes === changing && call === changingCall);
  }
  return state;
}

test('nothing that may fault follows a change of registers, so that an instruction can be repeated', () => {
  const system: Statement = { op: 'system', name: 'halt', inputs: [], index: null };
  const change: Statement = { op: 'setFlags', flags: {} };
  const mmxChange: Statement = { ...system, name: changingCall };
  for (const each of [change, mmxChange])
    assert.equal(changedBy([each, system], false), null, 'the search is broken');
  const wrong = x86.filter(
    ({ semantics: { statements } }) =>
      changedBy(statements, false) === null ||
      changedBy(statements, false, computing, afterComputing) === null,
  );
  assert.deepEqual([...new Set(wrong.map(({ encoding }) => encoding.name))], []);
});

test('every operand has a register of the file or a number that fits its bits', () => {
  // Fields of all kinds: bytes that begin with each encoding, and some that follow.
  const wrong = sampled().flatMap(({ instruction, fields }) =>
    Object.entries(instruction.operands).flatMap(([key, operand]) => {
      if (operand.kind === 'register') {
        const place = operand.place(fields);
        return place >= 0 && place < 20 ? [] : [`${instruction.name}: ${key} at ${place}`];
      }
      if (operand.kind === 'vector') {
        const place = operand.place(fields);
        return place >= 0 && place < 16 ? [] : [`${instruction.name}: ${key} at ${place}`];
      }
      if (operand.kind !== 'immediate') return [];
      const value = operand.value(fields);
      const fits = operand.bits === 8 ? BigInt.asUintN(8, value) : BigInt.asIntN(operand.bits, value);
      return fits === value ||
        (operand.bits === 32 && operand.width === 32 && BigInt.asUintN(32, value) === value)
        ? []
        : [`${instruction.name}: ${key} is ${value} in ${operand.bits} bits`];
    }),
  );
  assert.deepEqual([...new Set(wrong)], []);
});

test('the operands of what is not cold fit into 14 bytes', () => {
  const bytesOf = { register: 1, vector: 1, text: 0 };
  const wrong = x86
    .filter(({ cold }) => !cold)
    .map(({ name, operands }) => {
      const sizes = Object.values(operands).map((each) =>
        each.kind === 'immediate' ? each.bits / 8 : bytesOf[each.kind],
      );
      return { name, bytes: sizes.reduce((a, b) => a + b, 0) };
    })
    .filter(({ bytes }) => bytes > 14);
  assert.deepEqual(wrong, []);
});

test('no bytes are two instructions', () => {
  const doubles = sampled().flatMap(({ fields }) => {
    const found = encodings.filter((encoding) => matches(encoding, fields));
    const best = Math.max(...found.map(specificity));
    const equal = found.filter((encoding) => specificity(encoding) === best);
    return equal.length > 1 ? [equal.map(({ name }) => name).join(' and ')] : [];
  });
  assert.deepEqual([...new Set(doubles)], []);
});

test('every form is decoded from some bytes', () => {
  const seen = new Set(sampled().map(({ instruction }) => instruction.name));
  const missing = x86.map(({ name }) => name).filter((name) => !seen.has(name));
  assert.deepEqual(missing, []);
});

test('nothing that is printed has gaps', () => {
  const wrong = sampled()
    .map(
      ({ instruction, fields }) => `${instruction.name}: ${printInstruction(instruction, fields, 0x1000n)}`,
    )
    .filter((text) => /[{}?]|undefined|NaN/.test(text));
  assert.deepEqual(wrong, []);
});

type Sample = Extract<ReturnType<ReturnType<typeof makeDecoder>['decode']>, { kind: 'instruction' }>;

let samples: Sample[] | null = null;

const prefixSets = [
  [], [0x66], [0x67], [0xf3], [0xf2], [0x65], [0x66, 0xf3], [0x66, 0x67], [0x67, 0xf3], [0x67, 0xf2], [0x66, 0x67, 0xf3],
  [0x66, 0x67, 0xf2], [0x66, 0xf2],
]; // prettier-ignore
const rexes = [[], [0x48], [0x4f]];
const modrms = [0x05, 0x44, 0xc0, 0xcc];

/** Instructions from all encodings, prefixes that matter and some ModRM bytes. */
function sampled(): readonly Sample[] {
  if (samples !== null) return samples;
  const decoder = makeDecoder(x86);
  samples = modes.flatMap((mode) =>
    encodings.flatMap(({ opcode }) =>
      prefixSets.flatMap((prefixes) =>
        (mode === 64 ? rexes : [[]]).flatMap((rex) =>
          modrms.flatMap((any) => {
            const modrm =
              opcode.modrm >= 0 ? opcode.modrm : opcode.digit >= 0 ? (any & 0xc7) | (opcode.digit << 3) : any;
            const mandatory = /^[6F]/.test(opcode.prefix) ? [parseInt(opcode.prefix, 16)] : [];
            const escape = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]][opcode.map] ?? [];
            const bytes = [
              ...prefixes,
              ...mandatory,
              ...rex,
              ...escape,
              opcode.byte,
              modrm,
              0x24,
              0x81,
              0xff,
              0x7f,
              0x80,
              9,
              9,
              9,
            ];
            const decoded = decoder.decode(Uint8Array.from(bytes), mode);
            return decoded.kind === 'instruction' ? [decoded] : [];
          }),
        ),
      ),
    ),
  );
  return samples;
}

test('a form that is not defined is not decoded as another', () => {
  const decoder = makeDecoder(x86);
  const kinds = (hex: string, mode: 16 | 32 | 64): string =>
    decoder.decode(Uint8Array.from(Buffer.from(hex, 'hex')), mode).kind;
  // LOCK without memory, on what cannot be locked; MOVBE, AVX; MOV to CS; PUSH ES; CR1; TZCNT with LOCK.
  for (const hex of ['f001c0', 'f08b00', '0f38f000', 'c5f877', '8ec8', '06', '0f20c8', 'f0f30fbcc0']) {
    assert.equal(kinds(hex, 64), 'undefined', hex);
  }
  assert.equal(kinds('9f', 32), 'instruction');
  assert.equal(parse(Uint8Array.from([0x0f, 0x58, 0xc1]), 64).kind, 'parsed');
});

test('instructions of SSE trap by CR0 and CR4, but for those of MMX and x87, and those that use general registers alone', () => {
  const lacking = x86
    .filter(
      ({ feature, vector }) => /\bs?sse/.test(feature ?? '') && !/mmx|fpu/.test(feature ?? '') && !vector,
    )
    .map(({ encoding }) => encoding.name.replace(/_.*/, ''));
  assert.deepEqual([...new Set(lacking)].sort(), ['CRC32', 'MOVNTI']);
});
