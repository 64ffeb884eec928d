import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SHUTDOWN_poweroff, SHUTDOWN_reboot } from '../../abi/index.js';
import type { CallRecord } from '../../hypervisor/index.js';
import { firstXenVcpu } from '../../identity/index.js';
import { powerOff, testGuest } from './test_guest.js';

/** XENVER_version of Xen 4.17. */
const version = 0x0004_0011n;

describe('a PVH guest', () => {
  it('is entered in 32-bit mode with start_info in EBX, and calls Xen by the 32-bit ABI', () => {
    const calls: CallRecord[] = [];
    const guest = testGuest(
      `
      mov %ebx, 0x4000
      mov %cr0, %eax
      mov %eax, 0x4008
      mov $17, %eax
      xor %ebx, %ebx
      vmmcall
      mov %eax, 0x4010
      movl $0x0, 0x6000
      mov $29, %eax
      mov $2, %ebx
      mov $0x6000, %ecx
      vmcall
      hlt
    `,
      { raw: true, listener: { hypercall: (_, record) => void calls.push(record) } },
    );
    assert.equal(guest.runToEnd(), 'shutdown');
    assert.deepEqual(
      [0, 1, 2].map((index) => guest.result(index)),
      [0x7000n, 0x11n, version],
    );
    assert.deepEqual(
      calls.map(({ op }) => op),
      ['XENVER_version', 'SCHEDOP_shutdown'],
    );
    assert.equal(guest.machine.domain.state.shutdown?.reason, SHUTDOWN_poweroff);
    assert.deepEqual([...guest.machine.board.unimplemented], []);
  });

  it('calls Xen by the 64-bit ABI', () => {
    const guest = testGuest(`
      mov $17, %eax
      xor %edi, %edi
      vmmcall
      mov %rax, 0x4000
      movl $0x0, 0x4100
      mov $17, %eax
      mov $0x6, %edi
      mov $0x4100, %esi
      vmmcall
      mov %rax, 0x4008
      mov 0x4104, %eax
      mov %rax, 0x4010
      mov $99, %eax
      vmmcall
      mov %rax, 0x4018
      ${powerOff}
    `);
    assert.equal(guest.runToEnd(), 'shutdown');
    // The features of PVH's submap 0 on 4.17 are those of the reference guest.
    assert.deepEqual(
      [0, 1, 2, 3].map((index) => guest.result(index)),
      [version, 0n, 0x12305n, BigInt.asUintN(64, -38n)],
    );
  });

  it('calls Xen through the page whose address it writes to the MSR of leaf 0x40000002', () => {
    const guest = testGuest(`
      mov $0x40000002, %eax
      cpuid
      mov %ebx, %ecx
      mov $0x6000, %eax
      xor %edx, %edx
      wrmsr
      xor %edi, %edi
      mov $0x6220, %eax
      call *%rax
      mov %rax, 0x4000
      ${powerOff}
    `);
    assert.equal(guest.runToEnd(), 'shutdown');
    assert.equal(guest.result(0), version);
  });

  it('ends when its last vCPU halts with interrupts disabled', () => {
    const guest = testGuest('cli\nhlt\nnop');
    assert.equal(guest.runToEnd(), 'shutdown');
    const { shutdown } = guest.machine.domain.state;
    assert.deepEqual(shutdown, { reason: SHUTDOWN_poweroff, by: firstXenVcpu });
  });

  it('ends with a reboot by a triple fault, which is told with its place', () => {
    const guest = testGuest('fault: ud2');
    assert.equal(guest.runToEnd(), 'shutdown');
    assert.equal(guest.machine.domain.state.shutdown?.reason, SHUTDOWN_reboot);
    const pc = BigInt(guest.address('fault'));
    assert.deepEqual(guest.machine.board.tripleFault, { vcpu: firstXenVcpu, pc });
  });

  it('runs the same way each time', () => {
    const text = `
      mov $0x2000, %ecx
    again:
      rdtsc
      xor %rax, %r8
      rol $0x3, %r8
      pause
      dec %ecx
      jne again
      mov %r8, 0x4000
      ${powerOff}
    `;
    const [a, b] = [testGuest(text), testGuest(text)];
    assert.equal(a.runToEnd(), 'shutdown');
    assert.equal(b.runToEnd(), 'shutdown');
    assert.equal(a.result(0), b.result(0));
    assert.equal(a.machine.instructions, b.machine.instructions);
  });
});
