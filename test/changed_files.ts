/** Files that may not be what they were any more, for readers that must read or refuse them. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { InputError } from '../src/base/index.js';

/** Random bytes, and `files` cut to at most `mostBytes` with some of their first 1024 bytes changed. */
function changedFiles(files: readonly Uint8Array[], mostBytes: number): fc.Arbitrary<Uint8Array> {
  const changes = fc.array(fc.tuple(fc.nat(1023), fc.nat(255)), { maxLength: 8 });
  const changed = fc
    .tuple(fc.constantFrom(...files), changes, fc.nat(mostBytes))
    .map(([file, list, length]) => {
      const copy = Uint8Array.from(file.subarray(0, length));
      for (const [offset, byte] of list) if (offset < copy.length) copy[offset] = byte;
      return copy;
    });
  return fc.oneof(fc.uint8Array({ maxLength: 200 }), changed);
}

/** Checks that `read`, given such files, either succeeds or throws InputError with one line. */
export async function checkChangedFiles(
  files: readonly Uint8Array[],
  mostBytes: number,
  read: (bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(changedFiles(files, mostBytes), async (bytes) => {
      try {
        await read(bytes);
      } catch (error) {
        assert.ok(error instanceof InputError, String(error));
        assert.ok(!error.message.includes('\n'));
      }
    }),
    { numRuns: 1500 },
  );
}
