// The kernel and the initramfs, as files for both emulators.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { busyboxInitramfs, defaultInitramfs } from '../../dist/src/firmware/index.js';
import {
  debianFiles,
  debianSettings,
  loadDebianKernel,
  parseDebianSpec,
} from '../../dist/src/kernel_source/index.js';

const release = 'bookworm';

/** A temporary folder that is removed when the program ends. */
export function temporaryFolder() {
  const folder = mkdtempSync(path.join(tmpdir(), 'domulator-bench-'));
  process.on('exit', () => rmSync(folder, { recursive: true }));
  return folder;
}

/**
 * Debian's kernel as an unpacked Image, and an initramfs: the default one, or one of busybox with `contents`. They come
 * from the user's cache or the archive. Returns their paths and the kernel's version.
 */
export async function debianGuest(folder, contents = null) {
  const now = Math.floor(Date.now() / 1000);
  const settings = debianSettings(process.env, now, (line) => console.error(line), {});
  const { image, version } = await loadDebianKernel(parseDebianSpec(release), settings);
  const { busybox } = await debianFiles(parseDebianSpec(release), ['busybox'], settings);
  const made =
    contents === null
      ? defaultInitramfs(busybox.bytes, 'arm64')
      : busyboxInitramfs(busybox.bytes, 'arm64', contents);
  const [kernel, initrd] = [path.join(folder, 'Image'), path.join(folder, 'initrd')];
  writeFileSync(kernel, image.bytes);
  writeFileSync(initrd, made);
  return { kernel, initrd, name: `debian:${release} (${version})` };
}
