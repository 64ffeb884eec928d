// The kernel and the initramfs, as files for both emulators.
import { Buffer } from 'node:buffer';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { busyboxInitramfs, crashInitramfs, defaultInitramfs } from '../../dist/src/firmware/index.js';
import {
  debianFiles,
  debianSettings,
  loadDebianKernel,
  parseDebianSpec,
} from '../../dist/src/kernel_source/index.js';

const release = 'bookworm';

/** ELF, and Xen's public header elfnote.h (XEN_ELFNOTE_PHYS32_ENTRY). */
const elf = { header: 64, programHeader: 56, machineX86: 62, load: 1, note: 4, phys32Entry: 18 };

/** A vmlinux with a PVH entry that loads as `image` does, for an emulator that unpacks no bzImage by itself. */
function vmlinux({ bytes, memoryBytes, placement: { loadAt, entry } }) {
  const noteBytes = 24;
  const start = elf.header + 2 * elf.programHeader + noteBytes;
  const file = Buffer.alloc(start + bytes.length);
  Buffer.from('\x7fELF\x02\x01\x01', 'latin1').copy(file);
  file.writeUInt16LE(2, 16); // an executable
  file.writeUInt16LE(elf.machineX86, 18);
  file.writeUInt32LE(1, 20);
  file.writeBigUInt64LE(BigInt(entry), 24);
  file.writeBigUInt64LE(BigInt(elf.header), 32);
  for (const [index, value] of [elf.header, elf.programHeader, 2].entries()) {
    file.writeUInt16LE(value, 52 + 2 * index);
  }
  const segment = (at, type, offset, address, fileBytes, size) => {
    file.writeUInt32LE(type, at);
    file.writeUInt32LE(7, at + 4); // readable, writable, executable
    for (const [index, value] of [offset, address, address, fileBytes, size, 4].entries()) {
      file.writeBigUInt64LE(BigInt(value), at + 8 + 8 * index);
    }
  };
  const note = start - noteBytes;
  segment(elf.header, elf.load, start, loadAt, bytes.length, memoryBytes);
  segment(elf.header + elf.programHeader, elf.note, note, 0, noteBytes, noteBytes);
  for (const [index, value] of [4, 8, elf.phys32Entry].entries()) file.writeUInt32LE(value, note + 4 * index);
  file.write('Xen\0', note + 12, 'latin1');
  file.writeBigUInt64LE(BigInt(entry), note + 16);
  file.set(bytes, start);
  return file;
}

/** A temporary folder that is removed when the program ends. */
export function temporaryFolder() {
  const folder = mkdtempSync(path.join(tmpdir(), 'domulator-bench-'));
  process.on('exit', () => rmSync(folder, { recursive: true }));
  return folder;
}

/**
 * The same amd64 kernel with an initramfs that loads it as a crash kernel, for a guest whose console is `console`; and the initramfs
 * that runs in the crash kernel.
 */
export async function kdumpGuest(folder, flavour, consoleName) {
  const arch = 'amd64';
  const now = Math.floor(Date.now() / 1000);
  const settings = debianSettings(process.env, now, (line) => console.error(line), { architecture: arch });
  const name = `debian:${release}/${flavour}`;
  const { image, version, file } = await loadDebianKernel(parseDebianSpec(`${release}/${flavour}`), settings);
  const { busybox, kexec } = await debianFiles(parseDebianSpec(release), ['busybox', 'kexec'], settings);
  const contents = {
    busybox: busybox.bytes,
    kexecTools: kexec.bytes,
    kernel: file,
    initrd: defaultInitramfs(busybox.bytes, arch),
    commandLine: `console=${consoleName}`,
  };
  const [kernel, initrd] = [path.join(folder, `kernel-${version}`), path.join(folder, 'initrd-kdump')];
  writeFileSync(kernel, vmlinux(image));
  writeFileSync(initrd, crashInitramfs(contents, arch));
  return { arch, kernel, initrd, name, version };
}

/**
 * Debian's kernel as an unpacked file, and an initramfs: the default one, or one of busybox with `contents`. They come
 * from the user's cache or the archive. Returns their paths and the kernel's name with its version.
 */
export async function debianGuest(folder, { arch = 'arm64', flavour = null, contents = null } = {}) {
  const now = Math.floor(Date.now() / 1000);
  const settings = debianSettings(process.env, now, (line) => console.error(line), { architecture: arch });
  const spec = flavour === null ? release : `${release}/${flavour}`;
  const { image, version } = await loadDebianKernel(parseDebianSpec(spec), settings);
  const { busybox } = await debianFiles(parseDebianSpec(release), ['busybox'], settings);
  const made =
    contents === null
      ? defaultInitramfs(busybox.bytes, arch)
      : busyboxInitramfs(busybox.bytes, arch, contents);
  const [kernel, initrd] = [path.join(folder, `kernel-${version}`), path.join(folder, `initrd-${arch}`)];
  writeFileSync(kernel, arch === 'amd64' ? vmlinux(image) : image.bytes);
  writeFileSync(initrd, made);
  return { arch, kernel, initrd, name: `debian:${spec} (${version})` };
}
