import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { KernelImage } from './kernel_image.js';

describe('an image of a kernel', () => {
  it('is read when its bytes are asked for, and once', () => {
    let reads = 0;
    const image = new KernelImage(3, () => {
      reads += 1;
      return Uint8Array.of(1, 2, 3);
    });
    assert.equal(image.length, 3);
    assert.equal(reads, 0);
    assert.deepEqual([...image.bytes, ...image.bytes], [1, 2, 3, 1, 2, 3]);
    assert.equal(reads, 1);
  });

  it('remembers what was found in it', () => {
    const image = KernelImage.of(Uint8Array.of(7));
    const seen: Uint8Array[] = [];
    const find = (bytes: Uint8Array): null => {
      seen.push(bytes);
      return null;
    };
    assert.deepEqual(
      [image.remember('a', find), image.remember('a', find), image.remember('b', find)],
      [null, null, null],
    );
    assert.equal(seen.length, 2);
  });

  it('may be there already, or be one', () => {
    const image = KernelImage.of(Uint8Array.of(1));
    assert.deepEqual([image.length, ...image.bytes], [1, 1]);
    assert.equal(KernelImage.of(image), image);
  });
});
