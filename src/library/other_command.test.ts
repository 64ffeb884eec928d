import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { frameBytes, InputError } from '../base/index.js';
import type { SavedBoot, SavedFrame } from '../boot/index.js';
import { arm64 } from '../guest_init/arm64/index.js';
import { begunOffset } from '../guest_init/index.js';
import { commandPrograms } from './guest_command.js';
import type { RunCommand } from './guest_command.js';
import { withCommand } from './other_command.js';

const running = (...argv: readonly string[]): RunCommand => ({
  command: { argv, script: null },
  script: null,
});
const command = running('first');
const [inBusybox, inInitrd] = commandPrograms(command, running('other'), arm64);

function framesOf(start: number, bytes: Uint8Array): SavedFrame[] {
  return Array.from({ length: Math.ceil(bytes.length / frameBytes) }, (_, i) => {
    const frame = new Uint8Array(frameBytes);
    frame.set(bytes.subarray(i * frameBytes, (i + 1) * frameBytes));
    return { number: start + i, bytes: frame };
  });
}

const saved = (...frames: readonly SavedFrame[]): SavedBoot =>
  ({ machine: { state: {}, frames }, boot: {} }) as unknown as SavedBoot;

const contents = ({ machine }: SavedBoot): [number, Buffer][] =>
  machine.frames.map(({ number, bytes }) => [number, Buffer.from(bytes)]);

const change = (before: SavedBoot, next = running('other')): SavedBoot =>
  withCommand({ saved: before, initrd: null }, command, next, arm64).saved;

/** The file in an archive: not at the start of a page. */
const archived = (file: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(file.length + 400);
  bytes.fill(7);
  bytes.set(file, 124);
  return bytes;
};

/** The pages of a file, each by itself. */
const scattered = (file: Uint8Array): SavedFrame[] =>
  framesOf(0, file)
    .map(({ number, bytes }) => ({ number: 1000 - 2 * number, bytes }))
    .sort((a, b) => a.number - b.number);

describe('another command for a saved guest', () => {
  it('is put where the first process is: in the initramfs, or in single pages, in any order', () => {
    for (const pair of [inBusybox, inInitrd]) {
      assert.ok(pair !== undefined);
      const around: SavedFrame = { number: 3, bytes: new Uint8Array(frameBytes).fill(9) };
      const packed = saved(around, ...framesOf(10, archived(pair.program)));
      assert.deepEqual(
        contents(change(packed)),
        contents(saved(around, ...framesOf(10, archived(pair.other)))),
      );
      const before = saved(around, ...scattered(pair.program));
      const kept = contents(before);
      assert.deepEqual(contents(change(before)), contents(saved(around, ...scattered(pair.other))));
      assert.deepEqual(contents(before), kept, 'what was saved is not changed');
    }
  });

  it('is put in the right pages where the first command repeats its text', () => {
    // Pages of such a text begin alike; what tells one from another comes later in each.
    const text = Array.from({ length: 8 }, (_, i) => `${'x'.repeat(frameBytes - 1)}${i}`).join('');
    const long = running('first', text);
    for (const { program, other } of commandPrograms(long, running('other'), arm64)) {
      const before = saved(...scattered(program));
      assert.deepEqual(
        contents(withCommand({ saved: before, initrd: null }, long, running('other'), arm64).saved),
        contents(saved(...scattered(other))),
      );
    }
  });

  it('is refused where the first command has equal pages and the other one has not', () => {
    const long = running('first', 'x'.repeat(30_000));
    const [pair] = commandPrograms(long, running('other'), arm64);
    assert.ok(pair !== undefined);
    const pages = saved(...scattered(pair.program));
    assert.throws(
      () => withCommand({ saved: pages, initrd: null }, long, running('other'), arm64),
      /repeats its text/,
    );
    // In the initramfs it lies in one piece.
    const archive = saved(...framesOf(10, archived(pair.program)));
    assert.deepEqual(
      contents(withCommand({ saved: archive, initrd: null }, long, running('other'), arm64).saved),
      contents(saved(...framesOf(10, archived(pair.other)))),
    );
    // One of the equal pages is missing.
    const count = pages.machine.frames.length;
    const equal = pages.machine.frames.filter(({ bytes }) => bytes.every((byte) => byte === 0x78));
    assert.ok(equal.length > 1 && count > equal.length);
    const fewer = saved(...pages.machine.frames.filter((frame) => frame !== equal[0]));
    assert.throws(
      () => withCommand({ saved: fewer, initrd: null }, long, running('other'), arm64),
      /is unpacking/,
    );
  });

  it('is refused once the first one has begun, while it is unpacked, and where it is not', () => {
    assert.ok(inBusybox !== undefined);
    const pages = framesOf(500, inBusybox.program);
    const [page] = pages;
    assert.ok(page !== undefined);
    const marked = page.bytes.slice();
    marked[begunOffset(arm64)] = 1;
    assert.throws(() => change(saved(...pages, { number: 900, bytes: marked })), /has begun/);
    const archive = framesOf(10, archived(inBusybox.program));
    assert.throws(() => change(saved(...archive, ...pages.slice(0, 5))), /is unpacking/);
    const part = page.bytes.slice().fill(0, 100);
    assert.throws(() => change(saved(...archive, { number: 600, bytes: part })), /is unpacking/);
    assert.throws(() => change(saved(...archive.slice(0, 3))), /is not in its memory/);
    assert.throws(() => change(saved(...pages), running('x'.repeat(100_000))), InputError);
    assert.throws(
      () => withCommand({ saved: saved(...pages), initrd: null }, null, running('other'), arm64),
      /without a command/,
    );
  });
});
