// The two emulators to compare: the command of this project, and QEMU's TCG.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The command as it is published, and the same from its modules. */
export const bundled = fileURLToPath(new URL('../../dist/command/domulator.cjs', import.meta.url));
export const modules = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url));
export const memoryMiB = 512;

/**
 * The command line of this project that boots `kernel` (files) until power-off, with the console on standard output.
 */
export function domulator({ kernel, initrd, vcpus, commandLine = '', report = null, more = [] }) {
  const boot = ['boot', '--kernel', kernel, '--vcpus', String(vcpus), '--memory', String(memoryMiB)];
  const rest = ['--cmdline', commandLine, '--until', 'poweroff', ...more];
  const files = [...(initrd ? ['--initrd', initrd] : []), ...(report ? ['--report', report] : [])];
  return [process.execPath, bundled, ...boot, ...rest, ...files];
}

/** By architecture: QEMU's system emulator, and a board with a CPU of about the same features. */
const boards = {
  arm64: { program: 'qemu-system-aarch64', board: ['-M', 'virt,gic-version=3', '-cpu', 'cortex-a57'] },
  amd64: { program: 'qemu-system-x86_64', board: ['-M', 'pc', '-cpu', 'qemu64'] },
};

/**
 * The command line of QEMU with the same CPU, memory and interrupt controller. Its guest does not run under Xen: the kernel makes
 * no hypercalls and has no PV console. `threads` is `single` (all vCPUs in one thread) or `multi` (one thread per vCPU, QEMU's
 * default). `mib`: its memory.
 */
export function qemu({ arch = 'arm64', kernel, initrd, vcpus, commandLine = '', threads, mib = memoryMiB }) {
  const board = [...boards[arch].board, '-accel', `tcg,thread=${threads}`];
  const size = ['-smp', String(vcpus), '-m', String(mib)];
  const quiet = ['-display', 'none', '-nic', 'none', '-monitor', 'none', '-serial', 'stdio', '-no-reboot'];
  const files = ['-kernel', kernel, ...(initrd ? ['-initrd', initrd] : [])];
  const append = commandLine === '' ? [] : ['-append', commandLine];
  return [boards[arch].program, ...board, ...size, ...quiet, ...files, ...append];
}

/** Ends the program with installation advice if a tool is missing. */
export function needTools(...tools) {
  const missing = tools.filter((tool) => spawnSync(tool, ['--version'], { stdio: 'ignore' }).status !== 0);
  if (missing.length === 0) return;
  console.error(`missing: ${missing.join(', ')}; scripts/install-bench-tools.sh installs them`);
  process.exit(2);
}

export function qemuVersion(arch = 'arm64') {
  const { stdout } = spawnSync(boards[arch].program, ['--version'], { encoding: 'utf8' });
  return stdout.split('\n')[0];
}
