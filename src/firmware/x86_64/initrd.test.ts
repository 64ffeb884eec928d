import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { InputError } from '../../base/index.js';
import { loadedInitrd } from './initrd.js';

const ram = 2 ** 26;
const bytesOf = (data: Buffer): Uint8Array => new Uint8Array(data);

/** What libxl makes of `content` when it has unpacked it. */
const unpackedTo = (content: Uint8Array): Buffer => Buffer.concat([content, Buffer.alloc(16)]);

/** `file` with other last four bytes, from which libxl takes the unpacked size. */
function claiming(file: Uint8Array, size: number): Uint8Array {
  const changed = file.slice();
  new DataView(changed.buffer).setUint32(changed.length - 4, size, true);
  return changed;
}

describe('the initrd of a PVH guest', () => {
  it('is unpacked if it is packed by gzip, whatever it contains', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 40, maxLength: 3000 }), (data) => {
        // Repeated, so that the packed file is the smaller one.
        const content = Buffer.concat(Array<Uint8Array>(20).fill(data));
        assert.deepEqual(Buffer.from(loadedInitrd(bytesOf(gzipSync(content)), ram)), unpackedTo(content));
      }),
    );
    const large = Buffer.alloc(3 << 20, 'abcdefg');
    assert.deepEqual(Buffer.from(loadedInitrd(bytesOf(gzipSync(large)), ram)), unpackedTo(large));
  });

  it('has only its first member unpacked, in the space that the last four bytes ask for', () => {
    const first = Buffer.alloc(3000, 'first ');
    // Of random bytes, so that the members end at many places in the pieces in which a library may read them.
    for (const more of [0, 65_536 - 1000, 200_000]) {
      const content = Buffer.concat([
        Buffer.from(
          fc.sample(fc.uint8Array({ minLength: more, maxLength: more }), { numRuns: 1, seed: 1 })[0] ?? [],
        ),
        first,
      ]);
      const members = (size: number): Uint8Array =>
        bytesOf(Buffer.concat([gzipSync(content), gzipSync(Buffer.alloc(size, 'second '))]));
      const larger = Buffer.from(loadedInitrd(members(content.length + 5000), ram));
      assert.deepEqual(larger, unpackedTo(Buffer.concat([content, Buffer.alloc(5000)])));
      // 16 bytes more than the last member's size have space.
      const tight = Buffer.from(loadedInitrd(members(content.length - 16), ram));
      const packed = members(content.length - 16);
      assert.equal(tight.length, Math.max(content.length, packed.length));
      assert.deepEqual(tight.subarray(0, content.length), content);
      const smaller = members(content.length - 17);
      const kept = Buffer.from(loadedInitrd(smaller, ram));
      assert.deepEqual(kept.subarray(0, smaller.length), Buffer.from(smaller));
      assert.ok(kept.subarray(smaller.length).every((byte) => byte === 0));
    }
  });

  it('is unpacked if something else follows, and that claims enough space', () => {
    const content = Buffer.alloc(3000, 'abc');
    const followed = (rest: readonly number[]): Uint8Array =>
      bytesOf(Buffer.concat([gzipSync(content), Buffer.from(rest)]));
    assert.deepEqual(
      Buffer.from(loadedInitrd(followed([0xff, 1, 2, 3, 4000 & 0xff, 4000 >> 8, 0, 0]), ram)),
      unpackedTo(Buffer.concat([content, Buffer.alloc(1000)])),
    );
    // Zeros, to which an archive may be padded, claim nothing.
    const padded = followed(Array<number>(512).fill(0));
    assert.deepEqual(loadedInitrd(padded, ram), padded);
  });

  it('stays as it is in every other packing, and behind another archive', () => {
    const packed = gzipSync('x'.repeat(1000));
    for (const file of [
      Buffer.from('070701'),
      Buffer.concat([Buffer.alloc(512), packed]),
      Buffer.from([0x1f, 0x8b]),
    ]) {
      assert.deepEqual(Buffer.from(loadedInitrd(bytesOf(file), ram)), file);
    }
  });

  it('is handed over packed where it cannot be unpacked, in the space that was made for it', () => {
    const content = Buffer.alloc(5000, 'ab');
    const packed = bytesOf(gzipSync(content));
    const damaged = packed.slice();
    damaged.fill(0xff, 15, 25);
    const kept = Buffer.from(loadedInitrd(damaged, ram));
    assert.equal(kept.length, 5016);
    assert.deepEqual(kept.subarray(0, damaged.length), Buffer.from(damaged));
    assert.ok(kept.subarray(damaged.length).every((byte) => byte === 0));
    const tooSmall = Buffer.from(loadedInitrd(claiming(packed, 1000), ram));
    assert.deepEqual(tooSmall.subarray(0, packed.length - 4), Buffer.from(packed.subarray(0, -4)));
    for (const size of [2 ** 30 - 15, 2 ** 30 + 1, 2 ** 32 - 1]) {
      const huge = claiming(packed, size);
      assert.deepEqual(loadedInitrd(huge, ram), huge);
    }
  });

  it('is refused if it does not fit into the memory', () => {
    const packed = claiming(bytesOf(gzipSync('x'.repeat(1000))), 2 ** 27);
    assert.throws(
      () => loadedInitrd(packed, ram),
      (error: unknown) => {
        assert.ok(error instanceof InputError);
        assert.match(error.message, /^64 MiB of memory is too little: .* unpacks to 128 MiB$/);
        return true;
      },
    );
  });

  it('is read whatever its bytes are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(5000), (rest, size) => {
        const file = claiming(Uint8Array.of(0x1f, 0x8b, 8, 0, ...rest, 0, 0, 0, 0), size);
        assert.ok(loadedInitrd(file, ram).length >= Math.min(file.length, size));
      }),
    );
  });
});
