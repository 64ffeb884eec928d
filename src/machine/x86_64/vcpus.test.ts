/** Tests how vCPUs start, stop, wait and interrupt each other, and what ports do, by programs that run on the board. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SHUTDOWN_crash, SHUTDOWN_poweroff } from '../../abi/index.js';
import { present } from '../../base/index.js';
import type { PowerRecord } from '../../hypervisor/index.js';
import { xenVcpuId } from '../../identity/index.js';
import { powerOff, startupPage, testGuest } from './test_guest.js';
import { enableApic, endOfInterrupt, writeMsr } from './test_programs.js';

describe('vCPUs', () => {
  it('start by INIT and SIPI, read their own ids, and go down by HLT', () => {
    const power: [number, PowerRecord][] = [];
    const entered: number[] = [];
    const guest = testGuest(
      `
      ${enableApic}
      ${writeMsr(0x830, '0xc500', '0x2')}
      ${writeMsr(0x830, '0x8500', '0x2')}
      ${writeMsr(0x830, '0x608', '0x2')}
      ${writeMsr(0x830, '0x608', '0x2')}
      ${writeMsr(0x830, '0x608', '0x1')}
    wait:
      pause
      cmpq $0x0, 0x4008
      je wait
      cli
      hlt
    second:
      mov $0x1, %eax
      cpuid
      shr $0x18, %ebx
      mov %rbx, 0x4010
      mov $0x40000004, %eax
      xor %ecx, %ecx
      cpuid
      mov %rbx, 0x4018
      mov $0x1b, %ecx
      rdmsr
      mov %rax, 0x4020
      movq $0x1, 0x4008
      cli
      hlt
    `,
      {
        vcpus: 2,
        secondary: 'second',
        listener: {
          power: (vcpu, record) => void power.push([vcpu, record]),
          started: (vcpu) => void entered.push(vcpu),
        },
      },
    );
    assert.equal(startupPage, 0x8000);
    assert.equal(guest.runToEnd(), 'shutdown');
    assert.deepEqual(
      [2, 3, 4].map((index) => guest.result(index)),
      [2n, 1n, 0xfee00800n],
    );
    assert.deepEqual(entered, [0, 1]);
    const sipi = { kind: 'start', how: 'sipi', returned: 0 } as const;
    assert.deepEqual(
      power.filter(([, { kind }]) => kind !== 'stop'),
      [
        [0, { ...sipi, hardwareId: 2n, target: 1 }],
        [0, { kind: 'other' }],
        [0, { ...sipi, hardwareId: 1n, target: null }],
      ],
    );
    assert.deepEqual(
      power
        .filter(([, { kind }]) => kind === 'stop')
        .map(([vcpu]) => vcpu)
        .sort(),
      [0, 1],
    );
    assert.equal(guest.machine.domain.state.shutdown?.reason, SHUTDOWN_poweroff);
    assert.deepEqual([...guest.machine.board.unimplemented], []);
  });

  it('send each other IPIs, which end a HLT', () => {
    const guest = testGuest(
      `
      ${enableApic}
      ${writeMsr(0x830, '0x608', '0x2')}
    wait:
      pause
      cmpq $0x0, 0x4008
      je wait
      ${writeMsr(0x830, '0x40', '0x2')}
    done:
      pause
      cmpq $0x0, 0x4010
      je done
      ${powerOff}
    second:
      ${enableApic}
      movq $0x1, 0x4008
      sti
      hlt
      movq $0x1, 0x4010
      cli
      hlt
    received:
      incq 0x4000
      ${endOfInterrupt}
      iretq
    `,
      { vcpus: 2, secondary: 'second', gates: { 0x40: 'received' } },
    );
    assert.equal(guest.runToEnd(), 'shutdown');
    assert.equal(guest.result(0), 1n);
  });

  it('are reached by an NMI, also when they are down', () => {
    const guest = testGuest(
      `
      ${enableApic}
      ${writeMsr(0x830, '0x608', '0x2')}
    wait:
      pause
      cmpq $0x0, 0x4008
      je wait
      pause
      ${writeMsr(0x830, '0x400', '0x2')}
    done:
      pause
      cmpq $0x0, 0x4010
      je done
      ${powerOff}
    second:
      movq $0x1, 0x4008
      cli
      hlt
      movq $0x1, 0x4010
      hlt
    nmi:
      incq 0x4000
      iretq
    `,
      { vcpus: 2, secondary: 'second', gates: { 2: 'nmi' } },
    );
    assert.equal(guest.runToEnd(), 'shutdown');
    assert.equal(guest.result(0), 1n);
  });

  it('start in the state that VCPUOP_initialise gives', () => {
    const guest = testGuest(
      `
      movl $0x1, 0x6200
      movq $0x77, 0x6208
      mov $second, %eax
      mov %rax, 0x6248
      movq $0x2, 0x6250
      mov %cr0, %rax
      mov %rax, 0x6258
      mov %cr3, %rax
      mov %rax, 0x6260
      mov %cr4, %rax
      mov %rax, 0x6268
      movq $0x500, 0x6270
      mov $24, %eax
      mov $0, %edi
      mov $1, %esi
      mov $0x6200, %edx
      vmmcall
      mov %rax, 0x4010
      mov $24, %eax
      mov $1, %edi
      mov $1, %esi
      vmmcall
      mov %rax, 0x4018
    wait:
      pause
      cmpq $0x0, 0x4008
      je wait
      ${powerOff}
    second:
      mov %rax, 0x4000
      movq $0x1, 0x4008
      hlt
    `,
      { vcpus: 2 },
    );
    assert.equal(guest.runToEnd(), 'shutdown');
    assert.deepEqual(
      [0, 2, 3].map((index) => guest.result(index)),
      [0x77n, 0n, 0n],
    );
  });

  it('use the xAPIC page until they turn x2APIC mode on, and the timer of their local APIC', () => {
    const guest = testGuest(
      `
      mov $0xfee00000, %ebx
      mov 0x30(%rbx), %eax
      mov %rax, 0x4010
      movl $0x1ff, 0xf0(%rbx)
      movl $0x50, 0x320(%rbx)
      movl $0xb, 0x3e0(%rbx)
      movl $100000, 0x380(%rbx)
      sti
      hlt
      mov $0x1b, %ecx
      rdmsr
      or $0x400, %eax
      wrmsr
      mov 0x30(%rbx), %eax
      mov %rax, 0x4018
      rdtsc
      mov %rax, 0x4020
      ${powerOff}
    timer:
      incq 0x4000
      movl $0x0, 0xb0(%rbx)
      iretq
    `,
      { gates: { 0x50: 'timer' } },
    );
    assert.equal(guest.runToEnd(), 'shutdown');
    assert.deepEqual(
      [0, 2, 3].map((index) => guest.result(index)),
      [1n, 0x50014n, 0xffff_ffffn],
    );
    // 100,000 bus cycles of 10 ns.
    const passed = guest.result(4);
    assert.ok(passed > 1_000_000n && passed < 1_001_000n, `${passed}`);
  });

  it('crash the domain by a delivery mode that Xen does not have', () => {
    const guest = testGuest(
      `${enableApic}\n${writeMsr(0x830, '0x740', '0x0')}\nmovq $0x1, 0x4000\n${powerOff}`,
    );
    assert.equal(guest.runToEnd(), 'shutdown');
    assert.equal(guest.machine.domain.state.shutdown?.reason, SHUTDOWN_crash);
    assert.equal(present(guest.machine.domain.state.vcpus[xenVcpuId(0)], 'a vCPU').pausedForShutdown, true);
  });
});

describe('ports', () => {
  it('read as all ones and are counted, and port 0xe9 writes to the console of Xen', () => {
    const lines: string[] = [];
    const guest = testGuest(
      `
      mov $0x42, %edx
      xor %eax, %eax
      in (%dx), %al
      in (%dx), %al
      mov %rax, 0x4000
      mov $0xcf8, %edx
      mov $0x80000000, %eax
      out %eax, (%dx)
      mov $0xcfc, %edx
      in (%dx), %eax
      mov %rax, 0x4008
      mov $0xe9, %edx
      mov $0x48, %al
      out %al, (%dx)
      mov $0x69, %al
      out %al, (%dx)
      mov $0xa, %al
      out %al, (%dx)
      ${powerOff}
    `,
      { listener: { xenConsole: (line) => void lines.push(line) } },
    );
    assert.equal(guest.runToEnd(), 'shutdown');
    assert.deepEqual([guest.result(0), guest.result(1)], [0xffn, 0xffff_ffffn]);
    assert.deepEqual(lines, ['Hi']);
    assert.deepEqual(guest.machine.board.ports, [
      { port: 0x42, direction: 'in', bytes: 1, count: 2 },
      { port: 0xe9, direction: 'out', bytes: 1, count: 3 },
      { port: 0xcf8, direction: 'out', bytes: 4, count: 1 },
      { port: 0xcfc, direction: 'in', bytes: 4, count: 1 },
    ]);
  });
});
