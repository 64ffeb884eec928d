/**
 * The default initramfs of a guest: busybox, and an /init that prints what it finds out about its CPUs and powers the
 * machine off. The lines that are meant for the host begin with {@link initMarker}.
 */
import { InputError } from '../base/index.js';
import { isElfFor } from './architecture.js';
import type { Architecture } from './architecture.js';
import { fileType, readCpio, writeCpio } from './cpio.js';
import type { CpioEntry } from './cpio.js';

/** Start of the lines that /init prints: `initMarker key=value` or `initMarker key: text`. */
export const initMarker = 'domulator-init:';

/** The busybox commands that /init uses. */
const applets = ['sh', 'mount', 'nproc', 'poweroff', 'sleep', 'uname'] as const;

/** The first line tells that user space has started, the last that nothing failed. */
const initScript = `#!/bin/sh
# The first and only process of the guest: says what it sees, and turns the machine off.
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null

say() { echo "${initMarker} $*"; }
# show KEY FILE...: the lines of what is there of the files.
show() {
  key=$1
  shift
  for file in "$@"; do
    if [ -r "$file" ]; then
      while read -r line; do say "$key: $line"; done < "$file"
    fi
  done
}
# value KEY FILE: its line, or none where there is no such file.
value() {
  line=none
  if [ -r "$2" ]; then read -r line < "$2"; fi
  say "$1=$line"
}

say userspace
say "kernel=$(uname -r)"
say "nproc=$(nproc)"
for set in online possible present offline; do value "cpus-$set" /sys/devices/system/cpu/$set; done
value hypervisor-type /sys/hypervisor/type
value hypervisor-major /sys/hypervisor/version/major
value hypervisor-minor /sys/hypervisor/version/minor
value hypervisor-extra /sys/hypervisor/version/extra
value hypervisor-uuid /sys/hypervisor/uuid
while read -r key line; do
  case $key in Features) say "cpu-features=\${line#: }" && break ;; esac
done < /proc/cpuinfo
show interrupts /proc/interrupts
show command-line /proc/cmdline
say done
poweroff -f
# Not reached: a first process that ends is a panic.
while :; do sleep 1; done
`;

function directory(path: string): CpioEntry {
  return { path, mode: fileType.directory | 0o755, content: new Uint8Array(), device: [0, 0] };
}

function program(path: string, content: Uint8Array): CpioEntry {
  return { path, mode: fileType.regular | 0o755, content, device: [0, 0] };
}

function text(characters: string): Uint8Array {
  return Uint8Array.from(characters, (character) => character.charCodeAt(0));
}

/** A symbolic link. Its content is the target. */
function link(path: string, target: string): CpioEntry {
  return { path, mode: fileType.symlink | 0o777, content: text(target), device: [0, 0] };
}

/** Programs use it as an empty input. It must exist even if the kernel creates no device nodes. */
const nullDevice: CpioEntry = {
  path: 'dev/null',
  mode: fileType.character | 0o666,
  content: new Uint8Array(),
  device: [1, 3],
};

/** Linux opens /dev/console for the first process, before that process can mount a file system. */
const consoleDevice: CpioEntry = {
  path: 'dev/console',
  mode: fileType.character | 0o600,
  content: new Uint8Array(),
  device: [5, 1],
};

/** The content of a busybox initramfs besides busybox. */
export interface BusyboxContents {
  /** The commands with links of their own. */
  readonly applets: readonly string[];
  /** The first process: a script, or the bytes of a program. */
  readonly init: string | Uint8Array;
  /** More files. The directories that contain them must come first. */
  readonly entries?: readonly CpioEntry[];
}

/**
 * An uncompressed initramfs with busybox, an /init and more files, for a guest of `architecture`. `busybox` is statically
 * linked. Throws {@link InputError} if it is not a program for that architecture.
 */
export function busyboxInitramfs(
  busybox: Uint8Array,
  architecture: Architecture,
  { applets, init, entries = [] }: BusyboxContents,
): Uint8Array {
  if (!isElfFor(busybox, architecture)) throw new InputError(`busybox is not an ${architecture} program`);
  return writeCpio([
    ...['bin', 'dev', 'proc', 'sys', 'root'].map(directory),
    consoleDevice,
    program('bin/busybox', busybox),
    ...applets.map((applet) => link(`bin/${applet}`, 'busybox')),
    program('init', typeof init === 'string' ? text(init) : init),
    ...entries,
  ]);
}

/** The default initramfs, built by {@link busyboxInitramfs}. */
export function defaultInitramfs(busybox: Uint8Array, architecture: Architecture): Uint8Array {
  return busyboxInitramfs(busybox, architecture, { applets, init: initScript });
}

/** Paths for a guest that runs a command: the script, and the first process that runs it in the user's initrd. */
export const commandPaths = { script: 'domulator-script', init: 'domulator-init' } as const;

function scriptEntries(script: Uint8Array | null): CpioEntry[] {
  return script === null ? [] : [program(commandPaths.script, script)];
}

/**
 * A busybox initramfs with `init` as the first process and, optionally, a script for it to run; `more` is a cpio archive of more
 * programs.
 */
export function commandInitramfs(
  busybox: Uint8Array,
  architecture: Architecture,
  init: Uint8Array,
  script: Uint8Array | null,
  more: Uint8Array | null = null,
): Uint8Array {
  const programs = more === null ? [] : readCpio(more);
  const entries = [nullDevice, ...programs, ...scriptEntries(script)];
  return busyboxInitramfs(busybox, architecture, { applets: ['sh'], init, entries });
}

/**
 * Adds `init` and the script to `initrd`. They come first, because Linux reads an uncompressed archive first and then
 * any other (Documentation/driver-api/early-userspace/buffer-format.rst).
 */
export function initrdWithCommand(
  initrd: Uint8Array,
  init: Uint8Array,
  script: Uint8Array | null,
): Uint8Array {
  const entries = [directory('dev'), consoleDevice, nullDevice, program(commandPaths.init, init)];
  const added = writeCpio([...entries, ...scriptEntries(script)]);
  const whole = new Uint8Array(added.length + initrd.length);
  whole.set(added);
  whole.set(initrd, added.length);
  return whole;
}

/** Whether `path` is busybox in a Debian package. */
export function isBusyboxPath(path: string): boolean {
  return /^(usr\/)?bin\/busybox$/.test(path);
}
