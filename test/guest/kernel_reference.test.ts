/**
 * Compares the messages of a stock kernel, line by line, with those under a real Xen 4.17 (QEMU's virt board, GICv3, a
 * domU of four vCPUs that Xen built itself). docs/beside_xen.md lists the permitted differences and their reasons.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readText } from '../files.js';
import { bootStock, skip, stockKernel } from './kernel.js';

/** SHA-256 of the reference kernel: 6.1.192-2 of Debian bookworm. */
const referenceKernel = '858a488b7c361d98ecc9ab9f76ec848e95204316d0d552a12007b00a57763324';

/** Lines that differ between runs or kernels: see docs/beside_xen.md. */
const differing = [
  /^Kernel command line: /,
  /^Unknown kernel command line parameters /,
  /^Memory: /,
  /^Freeing initrd memory: /,
  /^node 0 deferred pages initialised in /,
  /^audit: type=2000 /,
  /^Trying to unpack rootfs image /,
  /^Linux version /,
  // This CPU has neither AArch32 nor big-endian data, and does not report them.
  /^CPU features: detected: 32-bit EL[01] Support$/,
  /setend/,
];

/** The kernel's messages about emulated hardware. */
const emulated =
  /xen|grant|event|gic|irq|redistributor|arch_timer|clocksource|sched_clock|psci|smc |smp|cpu|secondary|timer|uart|ttyAMA|percpu/i;

function kernelLines(console: string): string[] {
  const lines = console.split('\n').flatMap((line) => /^\[ *\d+\.\d+\] (.*)$/.exec(line)?.[1] ?? []);
  const end = lines.findIndex((line) => line.startsWith('Run /init'));
  return lines.slice(0, end + 1).filter((line) => !differing.some((pattern) => pattern.test(line)));
}

describe('compared with a real Xen', { skip }, () => {
  it('the kernel prints the same, line by line', () => {
    const reference = readText('test/guest/reference/xen_4_17_gicv3_4_vcpus.txt')
      .split('\n')
      .filter((line) => line !== '' && !differing.some((pattern) => pattern.test(line)));
    const { console } = bootStock({ xenstore: false, commandLine: 'console=ttyAMA0' });
    const same = stockKernel().kernel.sha256 === referenceKernel;
    // Another build has another version text, but sees the same emulated hardware.
    const wanted = (line: string): boolean => same || emulated.test(line);
    assert.ok(reference.filter((line) => emulated.test(line)).length > 40);
    assert.deepEqual(kernelLines(console).filter(wanted), reference.filter(wanted));
  });

  it('user space sees the same processors, interrupts and hypervisor', () => {
    const { console } = bootStock({ xenstore: false });
    const said = (key: string): string | undefined =>
      new RegExp(`domulator-init: ${key}=(.*)\\n`).exec(console)?.[1];
    assert.equal(said('cpu-features'), 'fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid');
    assert.equal(said('hypervisor-major'), '4');
    assert.equal(said('hypervisor-minor'), '17');
    assert.equal(said('hypervisor-extra'), '.7');
    assert.equal(said('hypervisor-uuid'), '00000000-0000-0000-0000-000000000000');
    assert.match(console, /interrupts: +\d+: .* GICv3 {2}27 Level {5}arch_timer\n/);
    assert.match(console, /interrupts: +\d+: .* GICv3 {2}31 Level {5}events\n/);
    assert.match(console, /interrupts: +\d+: .* GICv3 {2}32 Level {5}uart-pl011\n/);
  });
});
