/** Tests an HVM guest's platform by programs: its entry, its timers by each interrupt controller, its lines and its ends. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HVM_PARAM_CALLBACK_IRQ, SHUTDOWN_poweroff, SHUTDOWN_reboot, vcpu_info } from '../../abi/index.js';
import { present } from '../../base/index.js';
import { isGsiHigh, newLocalApics } from '../../devices/index.js';
import { setHvmParam } from '../../hypervisor/index.js';
import { xenVcpuId } from '../../identity/index.js';
import { hashSaved } from '../state.js';
import { Platform } from './platform/platform.js';
import { powerOff, startupPage, testGuest } from './test_guest.js';
import type { GuestShape, TestGuest } from './test_guest.js';
import { bindIpi, mapSharedInfo, send, upcallPending } from './test_programs.js';

const hex = (value: number): string => `0x${value.toString(16)}`;
const out = (port: number, value: number): string => `
  mov $${hex(port)}, %edx
  mov $${hex(value)}, %eax
  out %al, (%dx)
`;
const outs = (...writes: readonly (readonly [port: number, value: number])[]): string =>
  writes.map(([port, value]) => out(port, value)).join('\n');
const store = (address: number, value: number): string => `
  mov $${hex(address)}, %esi
  movl $${hex(value)}, (%rsi)
`;
/** Writes a register of the I/O APIC. */
const ioApic = (register: number, value: number): string =>
  `${store(0xfec0_0000, register)}${store(0xfec0_0010, value)}`;
/** The 8259 pair: vectors 0x40 and 0x48, and which inputs are open. */
const pics = (mask: number): string =>
  outs([0x20, 0x11], [0x21, 0x40], [0x21, 4], [0x21, 1], [0x21, mask], [0xa0, 0x11], [0xa1, 0x48]) +
  outs([0xa1, 2], [0xa1, 1], [0xa1, 0xff]);
/** Channel 0 of the 8254: periodic, every 10 ms (11932 ticks). */
const pit = outs([0x43, 0x34], [0x40, 0x9c], [0x40, 0x2e]);
const waitFor = (count: number): string => `
  sti
  wait:
  hlt
  cmpq $${hex(count)}, 0x4000
  jb wait
  cli
`;
/** Counts ticks at 0x4000, ends the interrupt at the master 8259, or at the local APIC. */
const handlers = `
  by_pic:
    push %rax
    incq 0x4000
    mov $0x20, %eax
    out %al, $0x20
    pop %rax
    iretq
  by_apic:
    push %rsi
    incq 0x4000
    mov $0xfee000b0, %esi
    movl $0x0, (%rsi)
    pop %rsi
    iretq
`;
const gates = { 0x40: 'by_pic', 0x30: 'by_apic' } as const;

const hvmGuest = (program: string, shape: GuestShape = {}): TestGuest =>
  testGuest(`${program}\n${powerOff}\n${handlers}`, { hvm: true, gates, ...shape });

const tenMs = 10_000_000n;

describe('an HVM guest', () => {
  it('is entered in 64-bit mode with its boot parameters in RSI', () => {
    const guest = hvmGuest(`
      mov %rsi, 0x4000
      mov %cr0, %rax
      mov %rax, 0x4008
      mov %cr3, %rax
      mov %rax, 0x4010
      mov %cr4, %rax
      mov %rax, 0x4018
      mov $0xc0000080, %ecx
      rdmsr
      mov %rax, 0x4020
      mov %cs, %eax
      mov %rax, 0x4028
      mov %ss, %eax
      mov %rax, 0x4030
      pushf
      pop %rax
      mov %rax, 0x4038
    `);
    assert.equal(guest.runToEnd(), 'shutdown');
    assert.deepEqual(
      [0, 1, 2, 3, 4, 5, 6, 7].map((index) => guest.result(index)),
      [0x7000n, 0x8000_0011n, 0x2_0000n, 0x20n, 0x500n, 0x10n, 0x18n, 2n],
    );
  });

  it("has the firmware's MTRRs on each vCPU, and its local APIC on the first", () => {
    const reads = [0x200, 0x201, 0x202, 0x203, 0x204, 0x250, 0x259, 0x26f, 0x2ff]
      .map(
        (number, index) => `
        mov $${hex(number)}, %ecx
        rdmsr
        shl $0x20, %rdx
        or %rdx, %rax
        mov %rax, ${hex(8 * index)}(%rdi)
      `,
      )
      .join('\n');
    const guest = testGuest(
      `
      mov $0x4000, %edi
      ${reads}
      mov $0xfee00000, %esi
      mov 0xf0(%rsi), %eax
      mov %rax, 0x4100
      mov 0x350(%rsi), %eax
      mov %rax, 0x4108
      mov 0x360(%rsi), %eax
      mov %rax, 0x4110
      mov 0x310(%rsi), %eax
      mov %rax, 0x4118
      movl $0x2000000, 0x310(%rsi)
      movl $0x${(0x600 | (startupPage >> 12)).toString(16)}, 0x300(%rsi)
      cli
      hlt
    second:
      mov $0x4080, %edi
      ${reads}
      ${powerOff}
    `,
      { hvm: true, vcpus: 2, secondary: 'second' },
    );
    assert.equal(guest.runToEnd(), 'shutdown');
    const expected = [
      0xf000_0000n,
      0xff_f800_0800n,
      0xf800_0000n,
      0xff_fc00_0800n,
      0n,
      0x0606_0606_0606_0606n,
      0x0101_0101_0101_0101n,
      0x0606_0606_0606_0606n,
      0xc06n,
    ];
    assert.deepEqual(
      expected.map((_, index) => guest.result(index)),
      expected,
    );
    assert.deepEqual(
      expected.map((_, index) => guest.result(16 + index)),
      expected,
    );
    assert.deepEqual(
      [32, 33, 34, 35].map((index) => guest.result(index)),
      [0x1ffn, 0x1_0700n, 0x400n, 0x200_0000n],
    );
  });
});

describe("the 8254's interrupt", () => {
  it('comes through the 8259 pair to vCPU 0, every 10 ms', () => {
    const guest = hvmGuest(`${pics(0xfe)}${pit}${waitFor(5)}`);
    assert.equal(guest.runToEnd(), 'shutdown');
    assert.equal(guest.result(0), 5n);
    const { nowNs } = guest.machine;
    assert.ok(nowNs > 5n * tenMs && nowNs < 6n * tenMs, `${nowNs} ns`);
  });

  it('comes through pin 2 of the I/O APIC, and not while it is masked there', () => {
    const guest = hvmGuest(`
      ${pics(0xff)}
      ${pit}
      ${ioApic(0x14, 0x30)}
      ${waitFor(3)}
      ${ioApic(0x14, 0x1_0030)}
      mov $0x1000000, %ecx
    spin:
      sti
      nop
      cli
      dec %ecx
      jne spin
    `);
    assert.equal(guest.runToEnd(), 'shutdown');
    // The spinning takes 8 periods.
    assert.equal(guest.result(0), 3n);
  });

  it('waits for vCPU 0 while that is down, until another vCPU takes ExtINT', () => {
    const guest = testGuest(
      `
      ${pics(0xff)}
      ${pit}
      ${ioApic(0x10, 0x1_0700)}
      ${ioApic(0x14, 0x30)}
      ${ioApic(0x15, 0x200_0000)}
      mov $0xfee00000, %esi
      movl $0x2000000, 0x310(%rsi)
      movl $0x608, 0x300(%rsi)
      cli
      hlt
    second:
      mov $0x2f90, %eax
      lidt (%rax)
      mov $0xfee00000, %esi
      movl $0x1ff, 0xf0(%rsi)
      mov $0x1000000, %ecx
    spin:
      sti
      nop
      cli
      dec %ecx
      jne spin
      mov 0x4000, %rax
      mov %rax, 0x4008
      ${out(0x21, 0xfe)}
      mov $0xfee00000, %esi
      movl $0x700, 0x350(%rsi)
      ${waitFor(3)}
      ${powerOff}
      ${handlers}
    `,
      { hvm: true, vcpus: 2, secondary: 'second', gates },
    );
    assert.equal(guest.runToEnd(), 'shutdown');
    // The ticks of the 84 ms in which nobody took them come one after the other.
    assert.deepEqual([guest.result(1), guest.result(0)], [0n, 9n]);
    assert.equal(guest.machine.board.platform?.state.target, 1);
  });

  it('goes on after a restore as in the run that was not cut', () => {
    const program = `${pics(0xfe)}${pit}${waitFor(4)}`;
    const [whole, cut, other] = [hvmGuest(program), hvmGuest(program), hvmGuest(program)];
    whole.runToEnd();
    cut.machine.run(100_000_000, 25_000_000n);
    assert.equal(cut.result(0), 2n);
    other.machine.restore(cut.machine.save());
    other.runToEnd();
    assert.equal(other.result(0), 4n);
    assert.equal(hashSaved(other.machine.save()), hashSaved(whole.machine.save()));
  });
});

describe('the callback for events', () => {
  /** The line is a level: the handler clears evtchn_upcall_pending before it ends the interrupt. */
  const program = (pin: number): string => `
    ${mapSharedInfo}
    ${bindIpi}
    ${ioApic(0x10 + 2 * pin, 0x8050)}
    ${send}
    sti
    nop
    nop
    cli
    ${powerOff}
  told:
    push %rsi
    incq 0x4000
    movb $0x0, ${upcallPending}
    mov $0xfee000b0, %esi
    movl $0x0, (%rsi)
    pop %rsi
    iretq
  `;
  const told = (via: bigint, pin: number): bigint => {
    const guest = testGuest(program(pin), { hvm: true, gates: { 0x50: 'told' } });
    setHvmParam(guest.machine.domain, HVM_PARAM_CALLBACK_IRQ, via);
    assert.equal(guest.runToEnd(), 'shutdown');
    return guest.result(0);
  };

  it('comes by a global system interrupt, and by a PCI pin', () => {
    assert.equal(vcpu_info.x86_64.offsets.evtchn_upcall_pending, 0);
    assert.equal(told(28n, 28), 1n);
    assert.equal(told((1n << 56n) | (2n << 11n), 24), 1n);
    assert.equal(told(28n, 27), 0n);
  });
});

describe('an HVM guest ends', () => {
  const reason = (program: string): number | undefined => {
    const guest = testGuest(program, { hvm: true });
    guest.runToEnd();
    const { shutdown } = guest.machine.domain.state;
    assert.equal(shutdown?.by, xenVcpuId(0));
    return shutdown.reason;
  };

  it('by the sleep type of S5', () => {
    assert.equal(reason(`mov $0xb004, %edx\nmov $0x2000, %eax\nout %ax, (%dx)\nhlt`), SHUTDOWN_poweroff);
  });

  it('by the reset line of i8042, port 0x92, and 0xcf9', () => {
    for (const [port, value] of [
      [0x64, 0xfe],
      [0x92, 3],
      [0xcf9, 6],
    ] as const) {
      assert.equal(reason(`${out(port, value)}\nhlt`), SHUTDOWN_reboot, hex(port));
    }
  });
});

describe('interrupts that are event channels', () => {
  /** A platform without a machine, whose interrupt 12 is an event channel. */
  const platformWith = (told: string[]): Platform => {
    const { domain } = testGuest('nop', { hvm: true }).machine;
    const apics = {
      state: newLocalApics([0]),
      apicIds: [0],
      latchesErrors: false,
      stale: new Set<number>(),
      port: {
        init: () => undefined,
        startup: () => undefined,
        nmi: () => undefined,
        enabled: () => undefined,
        unsupported: () => undefined,
      },
    };
    return new Platform({
      domain: () => domain,
      apics: () => apics,
      ramBytes: 0x10_0000,
      vcpus: 1,
      startNs: 0n,
      wallclockSec: 0,
      eventChannels: {
        isBound: (gsi) => gsi === 12,
        assert: (gsi) => {
          told.push(`assert ${gsi}`);
          return gsi === 12;
        },
        deassert: (gsi) => void told.push(`deassert ${gsi}`),
      },
      nowNs: () => 0n,
      wake: () => undefined,
      shutDown: () => undefined,
      print: () => undefined,
      notModelled: () => undefined,
    });
  };

  it("are sent in place of the I/O APIC's interrupt, once for each time that the line goes up", () => {
    const told: string[] = [];
    const platform = platformWith(told);
    platform.writeMemory(0xfec0_0000, 4, 0x28n);
    platform.writeMemory(0xfec0_0010, 4, 0x8050n);
    for (const [port, value] of [
      [0x64, 0x60],
      [0x60, 0x03],
      [0x64, 0xd3],
      [0x60, 0xa5],
    ] as const) {
      platform.writePort(port, 1, value);
    }
    assert.deepEqual(told, ['assert 12']);
    assert.deepEqual(
      [
        isGsiHigh(platform.state.lines, 12),
        platform.routing.takeEventSent(),
        platform.routing.takeEventSent(),
      ],
      [true, true, false],
    );
    assert.equal(platform.state.ioApic.entries[12]?.low, 0x8050, 'the I/O APIC has not sent it');
    assert.equal(platform.readPort(0x60, 1), 0xa5);
    assert.deepEqual([told, isGsiHigh(platform.state.lines, 12)], [['assert 12', 'deassert 12'], false]);
    platform.writePort(0x64, 1, 0x20);
    assert.deepEqual([told.at(-1), platform.routing.takeEventSent()], ['assert 1', false]);
  });
});

describe('the ports of an HVM guest', () => {
  it('answer as on the reference guest', () => {
    const platform = present(testGuest('nop', { hvm: true, vcpus: 4 }).machine.board.platform, 'a platform');
    const absent = [
      0x2e9, 0x2f9, 0x3e9, 0x3f8, 0x3f9, 0x3fd, 0x402, 0x278, 0x378, 0x80, 0x510, 0xb044, 0xb100,
    ] as const;
    for (const port of absent) assert.equal(platform.readPort(port, 1), 0xff, hex(port));
    assert.equal(platform.readPort(0x10, 2), 0x49d2);
    assert.equal(platform.readPort(0x12, 1), 1);
    assert.equal(platform.readPort(0x87, 1), 0);
    assert.equal(platform.readPort(0x1f7, 1), 0);
    assert.equal(platform.readPort(0xaf00, 1), 0xf);
    assert.equal(platform.readPort(0xb004, 2), 1);
    assert.deepEqual([platform.readPort(0x20, 2), platform.readPort(0x40, 4)], [0xffff, 0xffff_ffff]);
    assert.equal(platform.readMemory(0xfed4_0000, 4), 0n);
    assert.equal(platform.readMemory(0xfee0_0020, 4), 0xffff_ffffn);
  });

  it('show the observed PCI functions, and a disk controller that unplugging its disks resets', () => {
    const guest = testGuest('nop', { hvm: true });
    const platform = present(guest.machine.board.platform, 'a platform');
    const read = (functionBits: number, register: number): number => {
      platform.writePort(0xcf8, 4, (0x8000_0000 | functionBits | register) >>> 0);
      return platform.readPort(0xcfc, 4);
    };
    const found: [number, number, number][] = [];
    for (let at = 0; at < 0x1_0000; at += 0x100) {
      const id = read(at, 0);
      if (id !== 0xffff_ffff) found.push([at >> 8, id, read(at, 8)]);
    }
    assert.deepEqual(found, [
      [0, 0x1237_8086, 0x0600_0002],
      [8, 0x7000_8086, 0x0601_0000],
      [9, 0x7010_8086, 0x0101_8000],
      [11, 0x7113_8086, 0x0680_0003],
      [16, 0x0001_5853, 0xff80_0001],
    ]);
    assert.deepEqual([read(0x900, 4), read(0x900, 0x20)], [0x0280_0005, 0xc101]);
    platform.writePort(0x10, 2, 3);
    assert.deepEqual([read(0x900, 4), read(0x900, 0x20)], [0x0280_0000, 1]);
    assert.deepEqual(
      [read(0x1000, 0x10), read(0x1000, 0x14), read(0x1000, 0x3c)],
      [0xc001, 0xf000_0008, 0x10b],
    );
    platform.writePort(0xcf8, 4, 0x8000_0860);
    platform.writePort(0xcfe, 1, 0x87);
    assert.deepEqual(platform.state.lines.routes, [5, 10, 0, 5]);
  });
});

describe('saving an HVM guest', () => {
  it('keeps its platform, and a PVH guest has none', () => {
    const guest = hvmGuest('nop');
    const state = guest.machine.board.save();
    assert.ok(state.platform !== undefined);
    assert.equal(present(state.platform.ioApic.entries[0], 'pin 0').low, 0x700);
    assert.equal('platform' in testGuest('nop').machine.board.save(), false);
  });
});
