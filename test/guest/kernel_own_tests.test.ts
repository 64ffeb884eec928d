/**
 * The stock kernel's self-tests other than those of ciphers: parity in SIMD registers, machine code from its BPF
 * compiler, code that it patches at run time, and accesses to user memory.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bootStock, skip, stockKernel } from './kernel.js';
import { kernelModules, modulesInitramfs, notLoaded } from './kernel_modules.js';

const wanted =
  /\/(raid6_pq|xor|xor-neon|async_\w+|libcrc32c|crc32c_generic|test_bpf|test_static_keys|test_static_key_base|test_user_copy)\.ko$/;

test(
  'the kernel passes its self-tests of parity, compiled and patched code, and user memory',
  {
    skip,
  },
  async (t) => {
    const modules = await kernelModules(t, (path) => wanted.test(path));
    if (modules === null) return;
    const parameters = { test_bpf: 'test_range=0,400' };
    const initrd = modulesInitramfs(stockKernel().busybox, modules, parameters);
    const result = bootStock({ initrd, vcpus: 2, xenstore: false });
    const { console } = result;
    assert.equal(result.outcome, 'poweroff', console.slice(-2000));
    assert.deepEqual(notLoaded(console), []);
    assert.match(console, /raid6: using algorithm neonx\d gen\(\)/);
    assert.match(console, /raid6: using neon recovery algorithm/);
    assert.match(console, /xor: using function: arm64_neon/);
    assert.match(console, /test_bpf: Summary: 401 PASSED, 0 FAILED, \[\d+\/\d+ JIT'ed\]/);
    assert.match(console, /test_user_copy: tests passed\./);
    t.diagnostic(`${modules.length} modules, ${result.instructions} instructions`);
  },
);
