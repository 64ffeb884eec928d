/**
 * An event for a vCPU that is down: when a hang is attributed to it, if that vCPU never comes up; and when the vCPU is reported as deaf,
 * if it does. It must have been online, or up for a second. The guests have a few instructions.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { present } from '../../src/base/index.js';
import { Boot } from '../../src/boot/index.js';
import type { BootFinding, BootOptions } from '../../src/boot/index.js';
import { hostileImage } from './hostile_loops.js';

/** Makes call `command` of event_channel_op (public/event_channel.h) with the struct at X27. */
const eventCall = (command: number): string => `
  mov x0, #${command}
  mov x1, x27
  mov x16, #32
  hvc #0xea1`;

/** VCPUOP_register_vcpu_info for vCPU 1, with a page after the code (public/vcpu.h). */
const registers = `
  add x20, x27, #1, lsl #12
  lsr x20, x20, #12
  str x20, [x27]
  str xzr, [x27, #8]
  mov x0, #10
  mov x1, #1
  mov x2, x27
  mov x16, #24
  hvc #0xea1`;

/** EVTCHNOP_alloc_unbound, and EVTCHNOP_bind_interdomain to itself, which sends the first event on the port in W21. */
const binds = `
  movz w20, #0x7ff0
  movk w20, #0x7ff0, lsl #16
  str w20, [x27]
  str wzr, [x27, #4]
  ${eventCall(6)}
  ldr w22, [x27, #4]
  movz w20, #0x7ff0
  str w20, [x27]
  str w22, [x27, #4]
  ${eventCall(0)}
  ldr w21, [x27, #8]`;

/** EVTCHNOP_bind_vcpu of that port. */
const moves = (vcpu: number): string => `
  str w21, [x27]
  mov w20, #${vcpu}
  str w20, [x27, #4]
  ${eventCall(8)}`;

/** EVTCHNOP_close of that port. */
const closes = `
  str w21, [x27]
  ${eventCall(3)}`;

/** SCHEDOP_poll of that port without a timeout (public/sched.h). */
const polls = `
  str w21, [x27, #32]
  add x20, x27, #32
  str x20, [x27]
  mov w20, #1
  str w20, [x27, #8]
  str xzr, [x27, #16]
  mov x0, #3
  mov x1, x27
  mov x16, #29
  hvc #0xea1`;

/** PSCI CPU_ON of the vCPU with affinity `vcpu` at a local label further down, with X27 in its X0. */
const cpuOn = (vcpu: number, label: number): string => `
  movz x0, #3
  movk x0, #0xc400, lsl #16
  mov x1, #${vcpu}
  adr x2, ${label}f
  mov x3, x27
  hvc #0`;

/** The same for a vCPU that waits from its first instruction. */
const starts = (vcpu: number): string => `
  ${cpuOn(vcpu, 5)}
  b 6f
5: wfi
  b 5b
6:`;

const waits = '7: wfi\nb 7b';
const spins = '7: b 7b';
const powersOff = 'movz x0, #0x8400, lsl #16\nmovk x0, #8\nhvc #0';

const reboots = 'movz x0, #0x8400, lsl #16\nmovk x0, #9\nhvc #0';

/**
 * Lets vCPU `vcpu`, which runs this, wait for two seconds of guest time: a runstate area says when it began to run, and SCHEDOP_poll
 * of no port has a timeout.
 */
const waitsTwoSeconds = (vcpu: number): string => `
  add x20, x27, #256
  str x20, [x27, #320]
  mov x0, #5
  mov x1, #${vcpu}
  add x2, x27, #320
  mov x16, #24
  hvc #0xea1
  ldr x20, [x27, #264]
  movz x19, #0x9400
  movk x19, #0x7735, lsl #16
  add x20, x20, x19
  str xzr, [x27]
  str wzr, [x27, #8]
  str x20, [x27, #16]
  mov x0, #3
  mov x1, x27
  mov x16, #29
  hvc #0xea1`;

/** Starts vCPU 0, which registers its vcpu_info and then does nothing, and waits until it has. */
const startsZero = `
  ${cpuOn(0, 5)}
6: ldr w20, [x27, #64]
  cbz w20, 6b
  b 8f
5: mov x27, x0
  add x20, x27, #2, lsl #12
  lsr x20, x20, #12
  str x20, [x27]
  str xzr, [x27, #8]
  mov x0, #10
  mov x1, #0
  mov x2, x27
  mov x16, #24
  hvc #0xea1
  mov w20, #1
  str w20, [x27, #64]
9: wfi
  b 9b
8:`;

/** EVTCHNOP_bind_ipi; the struct of EVTCHNOP_send, which has nothing but the port, is then at X27. */
const bindsIpi = (vcpu: number): string => `
  mov w20, #${vcpu}
  str w20, [x27]
  ${eventCall(7)}
  ldr w20, [x27, #4]
  str w20, [x27]`;

/** Sets the word at X27 + `at`, or waits until it is set. */
const sets = (at: number): string => `mov w20, #1\nstr w20, [x27, #${at}]`;
const awaits = (at: number, label: number): string => `${label}: ldr w20, [x27, #${at}]\ncbz w20, ${label}b`;

/**
 * Lets vCPU 1 register its vcpu_info, clear it, and wait with interrupts masked while vCPU 0 sends it an event. Then it turns itself off
 * and is started again, and with `clears` clears its vcpu_info again.
 */
const offAndOn = (clears: boolean): string => `
  ${cpuOn(1, 5)}
  ${awaits(64, 6)}
  ${bindsIpi(1)}
  ${eventCall(4)}
  ${sets(68)}
1: movz x0, #4
  movk x0, #0xc400, lsl #16
  mov x1, #1
  mov x2, #0
  hvc #0
  cmp x0, #1
  b.ne 1b
  ${cpuOn(1, 9)}
  ${awaits(72, 3)}
  b 8f
5: mov x27, x0
  add x22, x27, #2, lsl #12
  lsr x20, x22, #12
  lsl x22, x20, #12
  str x20, [x27, #128]
  str xzr, [x27, #136]
  mov x0, #10
  mov x1, #1
  add x2, x27, #128
  mov x16, #24
  hvc #0xea1
  stp xzr, xzr, [x22]
  ${sets(64)}
  ${awaits(68, 6)}
  movz x0, #0x8400, lsl #16
  movk x0, #2
  hvc #0
9: mov x27, x0
  add x22, x27, #2, lsl #12
  lsr x20, x22, #12
  lsl x22, x20, #12
  ${clears ? 'stp xzr, xzr, [x22]' : ''}
  ${sets(72)}
4: wfi
  b 4b
8:`;

interface Run {
  readonly outcome: string;
  readonly unheard: readonly BootFinding[];
}

const enough: BootOptions['limits'] = { instructions: 3_000_000, guestNs: 60_000_000_000n };

function run(
  program: string,
  limits = enough,
  entryVcpu = 1,
  onReboot: BootOptions['onReboot'] = 'end',
): Run {
  const image = hostileImage(program);
  const boot = new Boot({
    kernel: {
      name: 'made',
      version: null,
      sha256: '',
      image,
      memoryBytes: 0x20_0000,
      placement: { architecture: 'arm64', textOffset: 0 },
    },
    initrd: null,
    commandLine: '',
    vcpus: 2,
    memoryMiB: 16,
    release: '4.17',
    seed: 1,
    xenstore: false,
    whatIf: null,
    entryVcpu,
    until: { kind: 'poweroff' },
    limits,
    onReboot,
  });
  while (boot.step(10_000_000) !== 'ended');
  const { outcome, findings } = boot.result();
  return { outcome, unheard: findings.filter(({ rule }) => rule === 'event-is-heard') };
}

const lost = `${registers}\n${binds}`;

describe('a guest that hangs, and had an event for a vCPU that is down', () => {
  it('is reported with the port, the vCPU and the time', () => {
    const { outcome, unheard } = run(`${lost}\n${waits}`);
    assert.equal(outcome, 'hang');
    assert.equal(unheard.length, 1);
    const finding = present(unheard[0], 'the finding');
    assert.match(finding.why, /^port \d+ notified vCPU 0 while it was down; vCPU 0 was never started/);
    assert.equal(finding.meant, 0);
    const atNs = Number(finding.timeNs);
    assert.ok(atNs > 0 && atNs < 100_000, `the event came within the first instructions, not at ${atNs} ns`);
  });

  it('is reported so if the guest itself binds the port to that vCPU, by a literal 0', () => {
    assert.equal(run(`${lost}\n${moves(0)}\n${waits}`).unheard.length, 1);
  });

  it('is reported so at the limit of guest time, if that is a second or more after the event', () => {
    // It waits for its timer, which is later than either limit.
    const late = { instructions: 40_000_000_000, guestNs: 1_002_000_000n };
    const early = { ...late, guestNs: 990_000_000n };
    const setsTimer = 'movz x20, #0x7fff, lsl #16\nmsr cntv_tval_el0, x20\nmovz x1, #1\nmsr cntv_ctl_el0, x1';
    assert.equal(run(`${lost}\n${setsTimer}\n${waits}`, late).unheard.length, 1);
    assert.deepEqual(run(`${lost}\n${setsTimer}\n${waits}`, early).unheard, []);
  });

  it('is not reported so if a limit stops it soon after: the vCPU might still come up', () => {
    const { outcome, unheard } = run(`${lost}\n${spins}`);
    assert.deepEqual([outcome, unheard], ['hang', []]);
  });

  it('is not reported so if it has closed the port, polled it, or bound it to a vCPU that is up', () => {
    for (const change of [closes, polls, moves(1)]) {
      const { outcome, unheard } = run(`${lost}\n${change}\n${waits}`);
      assert.deepEqual([outcome, unheard], ['hang', []]);
    }
  });

  it('is not reported so if it started the vCPU since, takes no events at all, or ended as intended', () => {
    assert.deepEqual(run(`${lost}\n${starts(0)}\n${waits}`), { outcome: 'hang', unheard: [] });
    assert.deepEqual(run(`${binds}\n${waits}`), { outcome: 'hang', unheard: [] });
    assert.deepEqual(run(`${lost}\n${powersOff}`), { outcome: 'poweroff', unheard: [] });
  });

  it('is not reported so if that vCPU is up', () => {
    assert.deepEqual(run(`${lost}\n${waits}`, enough, 0), { outcome: 'hang', unheard: [] });
  });
});

describe('a vCPU that lost an event while it was down, and has run since', () => {
  const deaf = `${lost}\n${startsZero}`;
  const enoughForAll = { ...enough, instructions: 30_000_000 };

  it('is reported whether its guest powers off or reboots, of each domain', () => {
    const off = run(`${deaf}\n${waitsTwoSeconds(1)}\n${powersOff}`);
    assert.deepEqual([off.outcome, off.unheard.length], ['poweroff', 1]);
    const program = `${deaf}\n${waitsTwoSeconds(1)}\n${reboots}`;
    const { outcome, unheard } = run(program, enoughForAll, 1, 'restart');
    assert.equal(outcome, 'destroyed');
    assert.deepEqual([...new Set(unheard.map(({ meant }) => meant))], [0]);
    assert.equal(unheard.length, 8, 'a run is followed into eight kernels');
  });

  it('is not reported where its guest ends as soon as it has started it: it may not have been ready', () => {
    assert.deepEqual(run(`${deaf}\n${powersOff}`), { outcome: 'poweroff', unheard: [] });
  });

  it('is reported where it went down before it took the interrupt, and was started again', () => {
    const ends = `${waitsTwoSeconds(0)}\n${powersOff}`;
    const { outcome, unheard } = run(`${offAndOn(false)}\n${ends}`, enough, 0);
    assert.deepEqual([outcome, unheard.map(({ meant }) => meant)], ['poweroff', [1]]);
    assert.deepEqual(run(`${offAndOn(true)}\n${ends}`, enough, 0).unheard, []);
  });

  it('is not reported where it heard of the event, because it was up', () => {
    const heard = `${registers}\n${startsZero}\n${binds}\n${moves(1)}\n${waitsTwoSeconds(1)}`;
    assert.deepEqual(run(`${heard}\n${reboots}`, enoughForAll, 1, 'restart').unheard, []);
  });
});
