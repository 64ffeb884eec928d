import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCpio, writeCpio } from './cpio.js';
import { crashInitramfs } from './crash_initramfs.js';
import type { KexecSyscall } from './crash_initramfs.js';

/** The header of an ELF file for x86-64 of 64 bits, little-endian (ELF-64 object file format, 3). */
const elf = Uint8Array.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, ...Array<number>(9).fill(0), 2, 0, 62, 0]);

function loadedBy(syscall: KexecSyscall, kernel: Uint8Array): string {
  const archive = crashInitramfs(
    {
      busybox: elf,
      kexecTools: writeCpio([]),
      kernel,
      initrd: new Uint8Array(1),
      commandLine: 'quiet',
      syscall,
    },
    'amd64',
  );
  const init = readCpio(archive).find(({ path }) => path === 'init');
  return /tool "\$1" (.*) \/kernel/.exec(new TextDecoder().decode(init?.content))?.[1] ?? '';
}

void test('kexec-tools are told the system call, and what an ELF file needs', () => {
  const bzImage = new Uint8Array(64);
  assert.equal(loadedBy('kexec_load', bzImage), '-c -i');
  assert.equal(loadedBy('kexec_load', elf), '-c -i --args-linux');
  assert.equal(loadedBy('kexec_file_load', bzImage), '-s');
});
