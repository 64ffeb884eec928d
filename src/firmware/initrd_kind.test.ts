import assert from 'node:assert/strict';
import { test } from 'node:test';
import { looksLikeInitramfs } from './cpio.js';

test('cpio archives, plain, compressed or behind zeros, look like an initramfs; other files do not', () => {
  const bytes = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  for (const text of [
    '070701',
    '\0\0\0\x00070701',
    '\x1f\x8b\x08',
    'BZh9',
    '\xfd7zXZ\0',
    '\x28\xb5\x2f\xfd',
    '\0\0',
    '',
  ])
    assert.equal(looksLikeInitramfs(bytes(text)), true, JSON.stringify(text));
  for (const text of ['hello', '07070', 'ustar', '\0text'])
    assert.equal(looksLikeInitramfs(bytes(text)), false, JSON.stringify(text));
});
