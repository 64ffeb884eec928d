/**
 * The initramfs of a guest that is to crash: its /init loads a crash kernel by kexec-tools, says so, and waits for a line that tells
 * how and on which CPUs to leave the kernel. Lines for the host begin with {@link initMarker}.
 */
import { isElfFor } from './architecture.js';
import type { Architecture } from './architecture.js';
import { fileType, readCpio } from './cpio.js';
import type { CpioEntry } from './cpio.js';
import { busyboxInitramfs, initMarker } from './initramfs.js';

/** Where /init finds kexec-tools and its libraries, and reads the other files. */
const root = 'kexec-tools';

/** What /init says, as the beginning of a line. */
export const crashMarkers = {
  /** The crash kernel is loaded; a line is awaited. */
  loaded: `${initMarker} crash-kernel=loaded`,
  /** It is not, and why. */
  failed: `${initMarker} crash-kernel-failed: `,
  /** A process runs in kernel code now and then on the CPUs of that line: the host may make it fault there. */
  busy: `${initMarker} busy`,
  /** The kernel panics at an NMI that has no other reason: the host may send one. */
  nmi: `${initMarker} nmi-panics`,
  /** The kernel was not left. */
  notLeft: `${initMarker} not-left: `,
} as const;

/** The ways in which /init leaves the kernel, as the first word of the line; the second is a mask of CPUs in hexadecimal. */
export type CrashWay = 'sysrq' | 'oops' | 'nmi' | 'kexec';

/** The system calls by which kexec-tools give a kernel another one. */
export const kexecSyscalls = ['kexec_load', 'kexec_file_load'] as const;
/** One of {@link kexecSyscalls}. */
export type KexecSyscall = (typeof kexecSyscalls)[number];

/** What kexec-tools are told, beside what to load. An ELF file gets nothing that a boot loader gives Linux unless that is asked for. */
function kexecOptions({ kernel, syscall }: CrashContents, architecture: Architecture): string {
  if (syscall === 'kexec_file_load') return '-s';
  return isElfFor(kernel, architecture) ? '-c -i --args-linux' : '-c -i';
}

const applets = ['cat', 'chroot', 'ln', 'mkdir', 'mount', 'poweroff', 'sh', 'sleep', 'tail', 'taskset'];

// kexec-tools talks to Xen where it finds /proc/xen, so its folder has only those files of /proc that it reads. Debian's arm64
// kernels have no kexec_file_load, so it uses kexec_load (-c) if nothing else is said. The check of the loaded kernel (without -i)
// takes billions of instructions on both architectures.
const initScript = (options: string): string => `#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null

say() { echo "${initMarker} $*"; }

root=/${root}
mkdir -p $root/proc $root/sys
for file in iomem cmdline kallsyms kcore meminfo cpuinfo; do
  : > $root/proc/$file
  mount --bind /proc/$file $root/proc/$file
done
ln -s /sys/firmware/devicetree/base $root/proc/device-tree
mount --bind /sys $root/sys

tool() { LD_LIBRARY_PATH=/lib chroot $root /kexec "$@" > /said 2>&1; }
load() { tool "$1" ${options} /kernel --initrd=/initrd --append="$(cat /next-command-line)"; }
# value FILE: its line, or 0 where there is no such file.
value() {
  line=0
  if [ -r "$1" ]; then read -r line < "$1"; fi
  echo "$line"
}
fail() {
  say "$*"
  poweroff -f
  while :; do sleep 1; done
}

say userspace
if [ ! -e /sys/kernel/kexec_crash_size ]; then
  fail "crash-kernel-failed: the kernel has no kexec (CONFIG_KEXEC, CONFIG_CRASH_DUMP)"
fi
if [ "$(value /sys/kernel/kexec_crash_size)" = 0 ]; then
  fail "crash-kernel-failed: the kernel has reserved no memory for it; make crashkernel= smaller, or the guest's memory larger"
fi
load -p
if [ "$(value /sys/kernel/kexec_crash_loaded)" != 1 ]; then
  fail "crash-kernel-failed: kexec has $(value /sys/kernel/kexec_crash_size) bytes for it: $(tail -n 1 /said)"
fi
say crash-kernel=loaded
read -r how mask
case $how in
  sysrq) taskset "$mask" sh -c 'echo c > /proc/sysrq-trigger' > /said 2>&1 ;;
  oops)
    echo 1 > /proc/sys/kernel/panic_on_oops
    taskset "$mask" sh -c 'echo ${initMarker} busy; while :; do read -r line < /proc/version; done'
    ;;
  nmi)
    for file in unknown_nmi_panic panic_on_unrecovered_nmi; do echo 1 > /proc/sys/kernel/$file; done
    say nmi-panics
    sleep 10
    echo "the kernel went on after the NMI" > /said
    ;;
  kexec) load -l && tool -e ;;
esac
fail "not-left: $(tail -n 1 /said)"
`;

/** What such a guest is made of. */
export interface CrashContents {
  readonly busybox: Uint8Array;
  /** A cpio archive of kexec-tools and its libraries, in the folder `kexec-tools`. */
  readonly kexecTools: Uint8Array;
  /** The kernel to load, as a file, with its initrd and its command line. */
  readonly kernel: Uint8Array;
  readonly initrd: Uint8Array;
  readonly commandLine: string;
  readonly syscall: KexecSyscall;
}

function file(path: string, content: Uint8Array): CpioEntry {
  return { path, mode: fileType.regular | 0o644, content, device: [0, 0] };
}

/** The initramfs. Throws InputError if busybox is not a program for that architecture. */
export function crashInitramfs(contents: CrashContents, architecture: Architecture): Uint8Array {
  const { busybox, kexecTools, kernel, initrd, commandLine } = contents;
  return busyboxInitramfs(busybox, architecture, {
    applets,
    init: initScript(kexecOptions(contents, architecture)),
    entries: [
      ...readCpio(kexecTools),
      file(`${root}/kernel`, kernel),
      file(`${root}/initrd`, initrd),
      file(
        'next-command-line',
        Uint8Array.from(commandLine, (character) => character.charCodeAt(0)),
      ),
    ],
  });
}
