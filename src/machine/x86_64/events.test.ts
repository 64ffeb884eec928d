/** Tests how events reach a vCPU: by the common vector, and by its own through its local APIC. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { powerOff, testGuest } from './test_guest.js';
import {
  call,
  mapSharedInfo,
  bindIpi,
  send,
  enableApic,
  endOfInterrupt,
  upcallPending,
} from './test_programs.js';

describe('event upcalls', () => {
  it('come by the common vector while evtchn_upcall_pending is set, without the local APIC', () => {
    const guest = testGuest(
      `
      ${mapSharedInfo}
      ${bindIpi}
      movw $0x7ff0, 0x6140
      movl $0x0, 0x6144
      movabs $0x02000000000000f3, %rax
      mov %rax, 0x6148
      ${call(34, 0, 0x6140)}
      mov %rax, 0x4010
      ${send}
      mov %rax, 0x4018
      nop
      incq 0x4008
      sti
      nop
      nop
      jmp done
    done:
      ${powerOff}
    upcall:
      incq 0x4000
      cmpq $0x3, 0x4000
      jne again
      movb $0x0, ${upcallPending}
    again:
      iretq
    `,
      { gates: { 0xf3: 'upcall' } },
    );
    assert.equal(guest.runToEnd(), 'shutdown');
    // It came until the handler cleared it, and only once interrupts were enabled.
    assert.deepEqual(
      [0, 1, 2, 3].map((index) => guest.result(index)),
      [3n, 1n, 0n, 0n],
    );
  });

  it("come by the vCPU's own vector once, through its local APIC", () => {
    const guest = testGuest(
      `
      ${enableApic}
      ${mapSharedInfo}
      ${bindIpi}
      movl $0x0, 0x6150
      movl $0xf3, 0x6154
      ${call(34, 23, 0x6150)}
      mov %rax, 0x4010
      sti
      nop
      jmp first
    first:
      ${send}
      jmp second
    second:
      ${powerOff}
    upcall:
      incq 0x4000
      mov $0x817, %ecx
      rdmsr
      mov %rax, 0x4008
      movb $0x0, ${upcallPending}
      ${endOfInterrupt}
      iretq
    `,
      { gates: { 0xf3: 'upcall' } },
    );
    assert.equal(guest.runToEnd(), 'shutdown');
    // Once when the vector is set, and once for the event. In the handler, bit 0xf3 - 0xe0 is in service.
    assert.deepEqual(
      [0, 1, 2].map((index) => guest.result(index)),
      [2n, 1n << 19n, 0n],
    );
  });

  it('do not reach a local APIC that is disabled, and come when it is enabled while events are pending', () => {
    const guest = testGuest(
      `
      mov $0x1b, %ecx
      rdmsr
      or $0x400, %eax
      wrmsr
      ${mapSharedInfo}
      ${bindIpi}
      movl $0x0, 0x6150
      movl $0xf3, 0x6154
      ${call(34, 23, 0x6150)}
      ${send}
      mov $0x827, %ecx
      rdmsr
      mov %rax, 0x4008
      sti
      nop
      jmp disabled
    disabled:
      mov 0x4000, %rax
      mov %rax, 0x4010
      ${enableApic}
      jmp enabled
    enabled:
      ${powerOff}
    upcall:
      incq 0x4000
      movb $0x0, ${upcallPending}
      ${endOfInterrupt}
      iretq
    `,
      { gates: { 0xf3: 'upcall' } },
    );
    assert.equal(guest.runToEnd(), 'shutdown');
    assert.deepEqual(
      [0, 1, 2].map((index) => guest.result(index)),
      [1n, 0n, 0n],
    );
  });

  it('end a HLT: by a singleshot timer, whose time is that of RDTSC', () => {
    const guest = testGuest(
      `
      ${enableApic}
      ${mapSharedInfo}
      movl $0x0, 0x6160
      movl $0x0, 0x6164
      ${call(32, 1, 0x6160)}
      mov %rax, 0x4010
      movl $0x0, 0x6150
      movl $0xf3, 0x6154
      ${call(34, 23, 0x6150)}
      sti
      nop
      jmp first
    first:
      movq $5000000, 0x6170
      movl $0x0, 0x6178
      mov $24, %eax
      mov $8, %edi
      mov $0, %esi
      mov $0x6170, %edx
      vmmcall
      mov %rax, 0x4018
      hlt
      rdtsc
      mov %rax, 0x4020
      ${powerOff}
    upcall:
      incq 0x4000
      movb $0x0, ${upcallPending}
      ${endOfInterrupt}
      iretq
    `,
      { gates: { 0xf3: 'upcall' } },
    );
    assert.equal(guest.runToEnd(), 'shutdown');
    assert.deepEqual(
      [0, 2, 3].map((index) => guest.result(index)),
      [2n, 0n, 0n],
    );
    const woken = guest.result(4);
    assert.ok(woken >= 5_000_000n && woken < 5_001_000n, `${woken}`);
  });
});
