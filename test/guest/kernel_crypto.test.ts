/**
 * The stock kernel tests its ciphers and hashes when they are registered (Linux crypto/testmgr.c), and tcrypt tests
 * those that are composed of others. All must pass, including those with AES, SHA, PMULL and SIMD instructions.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bootStock, skip, stockKernel } from './kernel.js';
import { kernelModules, modulesInitramfs, notLoaded } from './kernel_modules.js';

/** The modules in crypto/, those in arm64's crypto/, and their dependencies. */
const wanted =
  /\/kernel\/(crypto\/|arch\/arm64\/crypto\/|lib\/(crypto|lz4|zstd|xxhash)|lib\/(crc64|crc-t10dif))/;
/** Modules that need raid6_pq and xor, or a user program. */
const elsewhere = /^(async_|xor|af_alg|algif_|crypto_user|pcrypt|tcrypt)/;

/** Implementations that must pass, by the instructions that they use. */
const expected = [
  'aes-ce', 'ecb-aes-ce', 'cbc-aes-ce', 'ctr-aes-ce', 'xts-aes-ce', 'cts-cbc-aes-ce', 'essiv-cbc-aes-sha256-ce', 'ccm-aes-ce',
  'gcm-aes-ce', 'cmac-aes-ce', 'polyval-ce', 'crct10dif-arm64-ce', 'sha1-ce', 'sha224-ce', 'sha256-ce',
  'ecb-aes-neonbs', 'cbc-aes-neonbs', 'ctr-aes-neonbs', 'xts-aes-neonbs', 'cmac-aes-neon', 'sha256-arm64-neon', 'sha512-arm64',
  'chacha20-neon', 'poly1305-neon', 'nhpoly1305-neon', 'crct10dif-arm64-neon', 'aegis128-simd', 'sha256-arm64', 'aes-generic',
  'sha512-generic', 'poly1305-generic', 'rsa-generic', 'ecdh-nist-p256-generic', 'gcm-aes-ce', 'xts(ecb(serpent-generic))',
]; // prettier-ignore

const list = `awk -F ' *: *' '$1 == "driver" { d = $2 } $1 == "selftest" { print "crypto: " d " " $2 }' /proc/crypto`;

test("the kernel's ciphers and hashes pass its own tests", { skip }, async (t) => {
  const all = await kernelModules(t, (path) => wanted.test(path));
  if (all === null) return;
  // tcrypt tests the registered algorithms, so it must come last.
  const modules = [
    ...all.filter(({ name }) => !elsewhere.test(name)),
    ...all.filter(({ name }) => name === 'tcrypt'),
  ];
  const initrd = modulesInitramfs(stockKernel().busybox, modules, {}, list);
  const result = bootStock({ initrd, commandLine: 'console=ttyAMA0', vcpus: 2, xenstore: false });
  const { console } = result;
  assert.equal(result.outcome, 'poweroff', console.slice(-2000));
  // SHA-3 and SHA-512 instructions are not advertised, and tcrypt never stays loaded. Whether jitterentropy finds
  // jitter depends on the clock.
  assert.deepEqual(
    notLoaded(console).filter((name) => name !== 'jitterentropy_rng'),
    ['sha3_ce', 'sha512_ce', 'tcrypt'],
  );
  const tests = new Map(
    [...console.matchAll(/^crypto: (\S+) (\w+)/gm)].map(([, name = '', verdict = '']) => [name, verdict]),
  );
  assert.deepEqual(
    [...tests].filter(([, verdict]) => verdict !== 'passed'),
    [],
  );
  assert.deepEqual(
    expected.filter((name) => !tests.has(name)),
    [],
  );
  // -2 is ENOENT: algorithms that tcrypt knows but this kernel does not have.
  const failures = [...console.matchAll(/alg: self-tests for (\S+) .* failed \(rc=(-?\d+)\)/g)];
  assert.deepEqual(
    failures.filter(([, , status]) => status !== '-2').map(([line]) => line),
    [],
  );
  assert.doesNotMatch(console, /alg: \S+: \S+ .*(test failed|wrong result|unexpectedly)/);
  t.diagnostic(`${tests.size} passed, ${modules.length} modules, ${result.instructions} instructions`);
});
