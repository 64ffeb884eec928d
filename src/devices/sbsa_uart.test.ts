import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { newUart, receive, sbsaUart, uartAsserted } from './sbsa_uart.js';
import type { UartState } from './sbsa_uart.js';
import type { MmioBytes, MmioDevice } from './mmio.js';

const [DR, RSR, FR, IMSC, RIS, MIS, ICR] = [0, 4, 0x18, 0x38, 0x3c, 0x40, 0x44] as const;
const [RXI, TXI, RTI] = [1n << 4n, 1n << 5n, 1n << 6n] as const;

function uart(): { state: UartState; sent: number[]; mmio: MmioDevice } {
  const state = newUart();
  const sent: number[] = [];
  return { state, sent, mmio: sbsaUart(state, (byte) => sent.push(byte)) };
}

test('a write to the data register sends its low byte', () => {
  const { mmio, sent } = uart();
  for (const bytes of [1, 2, 4] as const) assert.ok(mmio.write(DR, bytes, 0x1_2341n));
  assert.deepEqual(sent, [0x41, 0x41, 0x41]);
  assert.equal(mmio.read(FR, 4), 0x90n, 'nothing received, everything sent');
});

test('a narrow write sends, and does not consume a received byte', () => {
  const { mmio, state } = uart();
  receive(state, 7);
  mmio.write(DR, 1, 0x41n);
  assert.deepEqual(state.received, [7]);
});

test('received bytes are read in order; the FIFO takes 32 and refuses more', () => {
  const { mmio, state } = uart();
  for (let i = 0; i < 32; i += 1) assert.ok(receive(state, i));
  assert.equal(receive(state, 99), false);
  assert.equal(mmio.read(FR, 2), 0xc0n, 'full');
  for (let i = 0n; i < 32n; i += 1n) assert.equal(mmio.read(DR, 4), i);
  assert.equal(mmio.read(DR, 4), 0n);
  assert.equal(mmio.read(FR, 1), 0x90n);
});

test('the first byte raises the receive timeout, the sixteenth the receive interrupt; reading clears both', () => {
  const { mmio, state } = uart();
  receive(state, 1);
  assert.equal(mmio.read(RIS, 4), RTI);
  for (let i = 0; i < 15; i += 1) receive(state, 1);
  assert.equal(mmio.read(RIS, 4), RTI | RXI);
  mmio.read(DR, 1);
  assert.equal(mmio.read(RIS, 4), RTI);
  for (let i = 0; i < 15; i += 1) mmio.read(DR, 1);
  assert.equal(mmio.read(RIS, 4), 0n);
});

test('the line is high while an enabled interrupt is pending, and clearing lowers it', () => {
  const { mmio, state } = uart();
  mmio.write(DR, 4, 0x41n);
  assert.equal(uartAsserted(state), false);
  mmio.write(IMSC, 4, TXI);
  assert.equal(uartAsserted(state), true);
  assert.equal(mmio.read(MIS, 4), TXI);
  receive(state, 1);
  assert.equal(mmio.read(RIS, 4), TXI | RTI);
  assert.equal(mmio.read(MIS, 4), TXI);
  assert.ok(mmio.write(ICR, 4, TXI));
  assert.equal(uartAsserted(state), false);
  assert.equal(mmio.read(RIS, 4), RTI, 'a cleared bit alone');
});

test('other registers answer as in Xen: some read as zero, the rest are refused', () => {
  const { mmio } = uart();
  assert.equal(mmio.read(RSR, 4), 0n);
  assert.ok(mmio.write(RSR, 4, 1n) && mmio.write(FR, 4, 0n) && mmio.write(MIS, 4, 0n));
  assert.equal(mmio.read(ICR, 4), null);
  for (const offset of [0x20, 0x24, 0x2c, 0x30, 0x48, 0xff0]) {
    assert.equal(mmio.read(offset, 4), null);
    assert.equal(mmio.write(offset, 4, 0n), false);
  }
  assert.equal(mmio.read(DR, 8), null);
});

test('no access throws, and the state stays a plain value', () => {
  const step = fc.record({
    offset: fc.oneof(fc.constantFrom(DR, FR, IMSC, RIS, MIS, ICR), fc.nat(0xfff)),
    bytes: fc.constantFrom<MmioBytes>(1, 2, 4, 8),
    value: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
    kind: fc.constantFrom('read', 'write', 'receive'),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { mmio, state, sent } = uart();
      let taken = 0;
      for (const { offset, bytes, value, kind } of steps) {
        if (kind === 'read') mmio.read(offset, bytes);
        else if (kind === 'write') mmio.write(offset, bytes, value);
        else if (receive(state, Number(value & 0xffn))) taken += 1;
        assert.ok(state.received.length <= Math.min(taken, 32));
        assert.equal(state.enabled >>> 0, state.enabled);
        assert.equal(state.raw & ~0x70, 0);
        assert.equal((state.raw & 0x40) !== 0 && state.received.length === 0, false);
      }
      for (const byte of sent) assert.ok(byte >= 0 && byte <= 0xff);
    }),
  );
});
