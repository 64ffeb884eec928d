/** Single instructions as user code on the engine. What is expected was measured on a CPU, under Linux. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as isa from '../../src/isa/x86_64/index.js';
import { EngineMachine } from './x86_engine.js';
import { initialX87 } from './x86_cases.js';
import { memoryBytes, memoryStart, pattern, start, vectors } from './x86_layout.js';
import type { Outcome } from './x86_layout.js';

const decoder = isa.makeDecoder(isa.x86);
const engine = new EngineMachine();
const middle = memoryStart + BigInt(memoryBytes / 2);
/** The first addresses that are not canonical. */
const far = 0x8000_0000_0100n;

interface Start {
  readonly mode?: 32 | 64;
  readonly registers?: Partial<Record<isa.RegisterName, bigint>>;
  /** XMM1; the others are 0. */
  readonly mask?: bigint;
}

/** Runs the instruction of hexadecimal bytes, with empty TLBs and with full ones. Registers are addresses in memory by default. */
function run(hex: string, { mode = 64, registers = {}, mask = 0n }: Start = {}): readonly Outcome[] {
  const bytes = Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
  const found = decoder.decode(bytes, mode);
  assert.ok(found.kind === 'instruction', hex);
  return engine.run({
    mode,
    bytes,
    instruction: found.instruction,
    fields: found.fields,
    registers: isa.registerNames.map((name) => registers[name] ?? middle),
    flags: 0n,
    vectors: Array.from({ length: 16 }, (_, number) => (number === 1 ? mask : 0n)),
    mxcsr: 0x1f80,
    x87: initialX87,
    readOnly: false,
  });
}

/** The vectors of both runs; null where there was no fault. */
const faults = (hex: string, from?: Start): readonly (number | null)[] =>
  run(hex, from).map(({ fault }) => fault?.vector ?? null);

const { stack, protection } = vectors;

describe('an address of 64-bit code that is not canonical', () => {
  const rows: readonly [
    what: string,
    hex: string,
    registers: NonNullable<Start['registers']>,
    vector: number,
  ][] = [
    ['enter $0x10,$0x0', 'c8 10 00 00', { rsp: far }, stack],
    ['gs enter $0x10,$0x0', '65 c8 10 00 00', { rsp: far }, stack],
    ['gs enter $0x0,$0x2', '65 c8 00 00 02', { rbp: far }, stack],
    ['leave', 'c9', { rbp: far }, stack],
    ['gs leave', '65 c9', { rbp: far }, stack],
    ['gs push %rax', '65 50', { rsp: far }, stack],
    ['gs pop %rax', '65 58', { rsp: far }, stack],
    ['push %fs', '0f a0', { rsp: far }, stack],
    ['gs ret', '65 c3', { rsp: far }, stack],
    ['lretq', '48 cb', { rsp: far }, stack],
    ['iretq', '48 cf', { rsp: far }, stack],
    ['pop (%rax), by its stack', '8f 00', { rsp: far }, stack],
    ['pop (%rax), by its operand', '8f 00', { rax: far }, protection],
    ['push (%rax), by its stack', 'ff 30', { rsp: far }, stack],
    ['push (%rax), by its operand', 'ff 30', { rax: far }, protection],
    ['push 0(%rbp)', 'ff 75 00', { rbp: far }, stack],
    ['push %gs:0(%rbp)', '65 ff 75 00', { rbp: far }, protection],
    ['mov 0(%rbp),%eax', '8b 45 00', { rbp: far }, stack],
    ['mov %gs:0(%rbp),%eax', '65 8b 45 00', { rbp: far }, protection],
  ];
  for (const [what, hex, registers, vector] of rows) {
    it(`raises ${vector === stack ? '#SS' : '#GP'} in ${what}`, () => {
      assert.deepEqual(faults(hex, { registers }), [vector, vector]);
    });
  }

  it('is found before the page of the bytes before it', () => {
    const last = 0x7fff_ffff_fffcn;
    for (const hex of ['48 8b 00', '48 89 00', '0f 10 00']) {
      assert.deepEqual(faults(hex, { registers: { rax: last } }), [protection, protection], hex);
    }
    assert.deepEqual(faults('48 8b 45 00', { registers: { rbp: last } }), [stack, stack]);
    assert.deepEqual(faults('50', { registers: { rsp: last + 8n } }), [stack, stack]);
    // All bytes are canonical, and there is no page.
    assert.deepEqual(faults('48 8b 00', { registers: { rax: last - 4n } }), [vectors.page, vectors.page]);
  });
});

describe('ARPL', () => {
  const at = pattern.findIndex((byte, offset) => offset % 2 === 0 && (byte & 3) === 1);
  const rbx = memoryStart + BigInt(at);

  it('needs a segment that can be written only where it writes', () => {
    assert.deepEqual(faults('2e 63 03', { mode: 32, registers: { rbx, rax: 1n } }), [null, null]);
    assert.deepEqual(faults('2e 63 03', { mode: 32, registers: { rbx, rax: 2n } }), [protection, protection]);
  });

  it('writes the larger privilege level', () => {
    for (const outcome of run('63 03', { mode: 32, registers: { rbx, rax: 2n } })) {
      assert.equal(outcome.fault, null);
      assert.equal(outcome.first, at);
      assert.deepEqual([...outcome.changed], [(pattern[at]! & 0xfc) | 2]);
      assert.equal(outcome.flags & 0x40n, 0x40n);
    }
  });
});

describe('MASKMOVDQU', () => {
  const [first, last] = [0x80n, 0x80n << 120n];

  it('checks the limit of the segment for all 16 bytes, whatever the mask', () => {
    const registers = { rdi: 0xffff_fff8n };
    assert.deepEqual(faults('66 0f f7 c1', { mode: 32, registers, mask: first }), [protection, protection]);
    assert.deepEqual(faults('36 66 0f f7 c1', { mode: 32, registers, mask: first }), [stack, stack]);
    const within = { rdi: 0xffff_fff0n };
    assert.deepEqual(faults('66 0f f7 c1', { mode: 32, registers: within, mask: first }), [14, 14]);
  });

  it('checks that the first address is canonical, whatever the mask', () => {
    const registers = { rdi: 0xffff_7fff_ffff_fff8n };
    assert.deepEqual(faults('66 0f f7 c1', { registers, mask: last }), [protection, protection]);
  });

  it('writes the bytes of the mask alone', () => {
    for (const mode of [32, 64] as const) {
      for (const outcome of run('66 0f f7 c1', { mode, registers: { rdi: middle }, mask: last })) {
        assert.equal(outcome.fault, null);
        assert.equal(outcome.first, memoryBytes / 2 + 15);
        assert.deepEqual([...outcome.changed], [0]);
      }
    }
  });
});

describe('the machine of the comparison', () => {
  it('runs a case that never ends twice in the same way, and the next case as ever', () => {
    for (const mode of [64, 32] as const) {
      for (const outcome of run('eb fe', { mode })) {
        assert.equal(outcome.endless, true);
        assert.equal(outcome.fault, null);
        assert.equal(outcome.pc, start);
      }
      for (const outcome of run('8b 03', { mode })) {
        assert.equal(outcome.fault, null);
        assert.equal(outcome.pc, start + 2n);
      }
    }
  });
});
