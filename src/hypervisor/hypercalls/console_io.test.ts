import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as abi from '../../abi/index.js';
import type { CallRecord } from '../hypercall.js';
import type { Domain, DomainConfig } from '../domain.js';
import { call, makeTestDomain, nowhere, pokeBytes, scratch } from '../test_domain.js';
import { console_io, takeXenConsole } from './console_io.js';

function domainThat(consoleIo: DomainConfig['consoleIo']): Domain {
  return makeTestDomain('arm', 1, consoleIo === undefined ? {} : { consoleIo });
}

function io(domain: Domain, command: number, count: number, address = scratch): CallRecord {
  return call(domain, 0, console_io.number, command, count, address);
}

function write(domain: Domain, text: string): number {
  const at = scratch - 4096n;
  pokeBytes(domain, Uint8Array.from(Buffer.from(text, 'latin1')), at);
  return io(domain, abi.CONSOLEIO_write, text.length, at).returned;
}

test('who may use Xen’s console: nobody, whoever writes, or this domain (xsm_console_io)', () => {
  const answers = ([undefined, 'refused', 'write', 'allowed'] as const).map((consoleIo) =>
    [abi.CONSOLEIO_write, abi.CONSOLEIO_read, 7].map(
      (command) => io(domainThat(consoleIo), command, 0).returned,
    ),
  );
  const [no, none] = [-abi.XEN_EPERM, -abi.XEN_ENOSYS];
  assert.deepEqual(answers, [
    [no, no, no],
    [no, no, no],
    [0, no, no],
    [0, 0, none],
  ]);
});

test('text comes out line by line, without what cannot be printed (guest_console_write)', () => {
  const domain = domainThat('allowed');
  assert.equal(write(domain, 'first\nsec'), 0);
  assert.deepEqual(takeXenConsole(domain), ['first']);
  write(domain, 'o\x1b\x07nd\tand \xe9\x85\x7f\n\nrest');
  assert.deepEqual(takeXenConsole(domain), ['second\tand \xe9', '']);
  assert.deepEqual(takeXenConsole(domain), []);
  write(domain, '\n');
  assert.deepEqual(takeXenConsole(domain), ['rest']);
});

test('a line is cut where Xen’s buffer ends, together with the piece that it cannot take', () => {
  const domain = domainThat('allowed');
  write(domain, 'x'.repeat(198));
  assert.deepEqual(takeXenConsole(domain), []);
  write(domain, 'y');
  assert.deepEqual(takeXenConsole(domain), [`${'x'.repeat(198)}y`]);
  write(domain, 'z'.repeat(127 + 72));
  assert.deepEqual(takeXenConsole(domain), ['z'.repeat(199)], 'in pieces of 127');
  write(domain, 'z'.repeat(127 + 71));
  assert.deepEqual(takeXenConsole(domain), []);
  write(domain, 'w'.repeat(127));
  assert.deepEqual(takeXenConsole(domain), [`${'z'.repeat(198)}${'w'.repeat(127)}`]);
});

test('what can be read is written before the fault', () => {
  const domain = domainThat('allowed');
  assert.equal(io(domain, abi.CONSOLEIO_write, 5, nowhere).returned, -abi.XEN_EFAULT);
  assert.equal(io(domain, abi.CONSOLEIO_write, 0, nowhere).returned, 0);
  // The last frame of RAM ends 127 bytes on, then there is nothing.
  const at = scratch + 4096n - 127n;
  pokeBytes(domain, new Uint8Array(127).fill(0x61), at);
  assert.equal(io(domain, abi.CONSOLEIO_write, 200, at).returned, -abi.XEN_EFAULT);
  write(domain, '\n');
  assert.deepEqual(takeXenConsole(domain), ['a'.repeat(127)]);
});

test('a long text is interrupted, and the call made again for the rest', () => {
  const domain = domainThat('allowed');
  const text = 'line\n'.repeat(5000);
  pokeBytes(domain, Uint8Array.from(Buffer.from(text)), 0x1000n);
  const lines: string[] = [];
  let calls = 0;
  let args: readonly bigint[] | undefined = [BigInt(abi.CONSOLEIO_write), BigInt(text.length), 0x1000n];
  while (args !== undefined) {
    const record: CallRecord = call(domain, 0, console_io.number, ...args);
    assert.equal(record.returned, 0);
    lines.push(...takeXenConsole(domain));
    args = record.again;
    calls += 1;
  }
  assert.deepEqual(
    lines,
    Array.from({ length: 5000 }, () => 'line'),
  );
  assert.equal(calls, 4);
});

test('a host that takes no lines loses the oldest', () => {
  const domain = domainThat('write');
  for (let i = 0; i < 5000; i += 1) write(domain, `line ${i}\n`);
  const lines = takeXenConsole(domain);
  assert.equal(lines.at(-1), 'line 4999');
  const length = lines.reduce((sum, line) => sum + line.length + 1, 0);
  assert.ok(length <= 16384 && length > 16000);
});

test('nothing ever comes to be read; a count of 2^31 is too much (do_console_io)', () => {
  const domain = domainThat('allowed');
  assert.equal(io(domain, abi.CONSOLEIO_read, 100, nowhere).returned, 0);
  assert.equal(io(domain, abi.CONSOLEIO_read, 0x7fff_ffff).returned, 0);
  assert.equal(io(domain, abi.CONSOLEIO_read, 0x8000_0000).returned, -abi.XEN_E2BIG);
});
