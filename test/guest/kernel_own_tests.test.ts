/**
 * What the stock kernel tests of itself beside its ciphers: parity in SIMD registers, programs that its BPF compiler writes
 * as machine code and then runs, code that it patches while it runs, and accesses of user memory.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { debianParts, orSkip, runGuest } from './debian_guest.js';
import { kernelModules, modulesInitramfs, notLoaded } from './kernel_modules.js';

const wanted =
  /\/(raid6_pq|xor|xor-neon|async_\w+|libcrc32c|crc32c_generic|test_bpf|test_static_keys|test_static_key_base|test_user_copy)\.ko$/;

test('the kernel passes its own tests of parity, of compiled and patched code, and of user memory', async (t) => {
  const parts = await orSkip(t, debianParts);
  const modules = parts === null ? null : await orSkip(t, () => kernelModules((path) => wanted.test(path)));
  if (parts === null || modules === null) return;
  const initramfs = modulesInitramfs(parts.busybox, modules, { test_bpf: 'test_range=0,400' });
  const { console, result } = runGuest(parts.kernel, initramfs, {
    commandLine: 'console=ttyAMA0 cryptomgr.notests',
  });
  assert.equal(result.outcome, 'poweroff', console.slice(-2000));
  assert.deepEqual(notLoaded(console), []);
  assert.match(console, /raid6: using algorithm neonx\d gen\(\)/);
  assert.match(console, /raid6: using neon recovery algorithm/);
  assert.match(console, /xor: using function: arm64_neon/);
  assert.match(console, /test_bpf: Summary: 401 PASSED, 0 FAILED, \[\d+\/\d+ JIT'ed\]/);
  assert.match(console, /test_user_copy: tests passed\./);
  t.diagnostic(`${modules.length} modules, ${result.instructions} instructions`);
});
