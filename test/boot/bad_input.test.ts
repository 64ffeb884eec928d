/** Bad or hostile input of the user: one line on standard error and a status, never a stack trace. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { bytesOf, kernelImage } from '../debian/files.js';
import { root } from '../files.js';
import { branchTo, hypercall, image, movz, powerOff, say, spin } from './tiny_kernels.js';

const command = path.join(root, 'dist/src/cli/main.js');
const folder = mkdtempSync(path.join(os.tmpdir(), 'domulator-boot-'));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, bytes: Uint8Array): string {
  const full = path.join(folder, name);
  writeFileSync(full, bytes);
  return full;
}

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `domulator boot` without a network, with the given cache. */
function boot(args: readonly string[], cache = path.join(folder, 'no-cache')): Ended {
  const { PATH = '' } = process.env;
  const env = { PATH, HOME: folder, XDG_CACHE_HOME: cache, DOMULATOR_MIRROR: 'http://127.0.0.1:9/debian' };
  return spawnSync(process.execPath, [command, 'boot', ...args], { encoding: 'utf8', env });
}

function assertOneLine(stderr: string, says: RegExp): void {
  assert.match(stderr, /^domulator: [^\n]+\n$/);
  assert.match(stderr, says);
  assert.doesNotMatch(stderr, /\n\s+at |node:internal|internal error/);
}

const initrd = file('initrd', new Uint8Array(512));
const linked = file('linked', new Uint8Array(1));
const link = path.join(folder, 'link');
symlinkSync(linked, link);
const loop = path.join(folder, 'loop');
symlinkSync(loop, loop);
const good = file('Image', image(powerOff));
/** Options that make `kernel` need no other file. */
const alone = (kernel: string): string[] => [
  '--kernel',
  kernel,
  '--initrd',
  initrd,
  '--memory',
  '16',
  '--quiet',
];

describe('a file that cannot be booted is refused with status 2 and one line', () => {
  const whole = kernelImage();
  const zipped = Uint8Array.from(gzipSync(whole));
  const bzImage = new Uint8Array(1024);
  bzImage.set(bytesOf('HdrS'), 0x202);
  const elf = new Uint8Array(64);
  elf.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  elf[18] = 62;
  const armElf = elf.slice();
  armElf[18] = 183;
  const cases: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['a kernel that is cut short', alone(file('short', whole.subarray(0, 700))), /short is truncated/],
    ['a packed kernel that is cut short', alone(file('short.gz', zipped.subarray(0, zipped.length - 20))), /short\.gz/],
    ['a few bytes', alone(file('few', whole.subarray(0, 40))), /too short to be a kernel/],
    ['an amd64 kernel', alone(file('bzImage', bzImage)), /older than Linux 2\.6\.26, which no PVH guest can boot$/m],
    ['an amd64 kernel on arm64, before it is unpacked', [...alone(file('bzImage', bzImage)), '--arch', 'arm64'], /bzImage is a kernel for amd64, not for arm64$/m],
    ['an arm64 vmlinux on amd64', [...alone(file('armElf', armElf)), '--arch', 'amd64'], /armElf is a kernel for arm64, not for amd64$/m],
    ['an amd64 vmlinux', alone(file('vmlinux', elf)), /is damaged: its program headers are not in the file/],
    ['an empty file', alone(file('empty', new Uint8Array())), /empty is empty/],
    ['a kernel that wants more memory than there is', alone(file('large', image(powerOff, { imageBytes: 2 ** 40 }))), /MiB of memory is too little/],
    ['a kernel that is not there', alone(path.join(folder, 'none')), /there is no such file/],
    ['a release as kernel', alone('bookworm'), /there is no such file; did you mean debian:bookworm\?$/m],
    ['a mirror that is none', [...alone(good), '--mirror', 'foo'], /the mirror "foo" is not an http or https address/],
    ['a folder as kernel', alone(folder), /it is a directory/],
    ['an initrd that is not there', ['--kernel', good, '--initrd', path.join(folder, 'none')], /the initrd .*no such file/],
    ['an initrd that does not fit', ['--kernel', good, '--memory', '16', '--initrd', file('big', new Uint8Array(20 << 20))], /16 MiB of memory is too little/],
    ['no vCPU', ['--vcpus', '0'], /--vcpus takes a whole number from 1 to 128, not '0'/],
    ['too many vCPUs', ['--vcpus', '129'], /--vcpus .* not '129'/],
    ['a vCPU to enter on that there is not', ['--vcpus', '2', '--entry-vcpu', '2'], /--entry-vcpu .* 0 to 1 with 2 vCPUs, not '2'/],
    ['too little memory', ['--memory', '1'], /--memory takes/],
    ['memory with a unit', ['--memory', '512M'], /--memory .* \(MiB, without a unit\), not '512M'/],
    ['too much memory', ['--memory', '4096'], /--memory .* to 3072/],
    ['a number that is none', ['--seed', 'x'], /--seed takes a whole number/],
    ['another release', ['--xen', '4.16'], /--xen takes 4\.17 or 4\.18/],
    ['another architecture', ['--arch', 'riscv64'], /--arch takes arm64 or amd64/],
    ['another type', ['--arch', 'amd64', '--type', 'pv'], /--type takes pvh or hvm, not 'pv'$/m],
    ['another model of CPU', ['--arch', 'amd64', '--cpu', 'v3'], /--cpu takes minimal or v2, not 'v3'$/m],
    ['a model of CPU on arm64', ['--kernel', 'builtin', '--cpu', 'v2'], /an arm64 guest has one model of CPU, a Cortex-A57; leave out the model, or give the architecture amd64$/m],
    ['who unpacks, of PVH', ['--arch', 'amd64', '--unpack', 'guest'], /only a guest of type hvm unpacks its kernel/],
    [
      'a restart of a guest that unpacks',
      ['--arch', 'amd64', '--type', 'hvm', '--unpack', 'guest', '--on-reboot', 'restart'],
      /a guest that is to restart after a reboot does not unpack its kernel/,
    ],
    [
      'a kernel that cannot unpack itself',
      ['--kernel', 'builtin', '--arch', 'amd64', '--type', 'hvm', '--unpack', 'guest'],
      /^domulator: builtin is no bzImage, and cannot unpack itself; let the host do it$/m,
    ],
    ['a type on arm64', ['--arch', 'arm64', '--type', 'pvh'], /an arm64 guest of Xen has no type/],
    ['what Arm did, on amd64', ['--arch', 'amd64', '--what-if', 'as-posted'], /amd64 kernels set each before its first use, so give before-the-patch or apic-id or apic-id-half$/m],
    ['what changes nothing, on arm64', ['--what-if', 'before-the-patch'], /changes nothing on arm64, .*; enter the kernel on another vCPU instead$/m],
    ['APIC ids on arm64', ['--what-if', 'apic-id'], /what-if apic-id is for amd64 guests, which have APIC ids; give as-posted or as-tested$/m],
    ['another engine', ['--engine', 'jit'], /--engine takes interpreter or compiler or check, not 'jit'$/m],
    ['an engine that amd64 has not', ['--arch', 'amd64', '--engine', 'compiler'], /the engine compiler runs arm64 guests only; leave the engine out for an amd64 guest$/m],
    ['another what-if', ['--what-if', 'fixed'], /--what-if takes as-posted or as-tested or before-the-patch or apic-id or apic-id-half, not 'fixed'$/m],
    ['a goal that is none', ['--until', 'lunch'], /--until takes userspace, poweroff or line:REGEX/],
    ['a pattern that is none', ['--until', 'line:('], /not a valid regular expression/],
    ['a pattern that is too large', ['--until', `line:${'(a|b)'.repeat(20_000)}`], /'\(a\|b\)[^']{90,100}\.\.\.' is too large a regular expression/],
    ['a limit that is none', ['--limit', 'soon'], /--limit takes/],
    ['a limit of nothing', ['--limit', '0'], /--limit takes SECONDS, .* not '0'$/m],
    ['a limit of too many instructions', ['--limit', '1,9999999999999999'], /--limit takes SECONDS, /],
    ['an option without its value', ['--vcpus'], /argument missing; see 'domulator boot --help'$/m],
    ['an unknown option', ['--vcpu', '3'], /unknown option '--vcpu'; did you mean one of --cpu, --vcpus\?$/m],
    ['an option in the place of a value', ['--kernel', '--quiet'], /--kernel needs a value/],
    ['an empty value', ['--kernel', ''], /--kernel needs a value/],
    ['an argument too many', ['Image', '--quiet'], /boot takes no 'Image'; name a kernel with --kernel, or see 'domulator boot --help'$/m],
    ['a report that cannot be written', [...alone(good), '--report', path.join(folder, 'no', 'r')], /its directory does not exist/],
    ['a trace that cannot be written', [...alone(good), '--trace', folder], /it is a directory/],
    ['a trace where no file can be made', [...alone(good), '--trace', '/proc/none'], /no file can be created there/],
    ['a report at the end of a loop of links', [...alone(good), '--report', loop], /a loop of symbolic links/],
    ['a report and a trace in one file', [...alone(good), '--report', path.join(folder, 'out'), '--trace', `${folder}/./out`], /--report and --trace name the same file/],
    ['a report and a trace in one file that is there, by two names', [...alone(good), '--report', linked, '--trace', link], /--report and --trace name the same file/],
    ['a report in place of the kernel', [...alone(good), '--report', good], /--kernel and --report name the same file/],
    ['a trace in place of the initrd', [...alone(good), '--trace', initrd], /--initrd and --trace name the same file/],
    ['a kernel without an end', alone('/dev/zero'), /kernel \/dev\/zero .* neither a file nor a pipe/],
    ['an initrd without an end', ['--kernel', good, '--initrd', '/dev/zero'], /initrd \/dev\/zero .* neither a file nor a pipe/],
    ['an initrd for the builtin guest', ['--kernel', 'builtin', '--initrd', initrd], /the builtin guest takes no initrd/],
    ['a mirror for the builtin guest', ['--kernel', 'builtin', '--mirror', 'http://127.0.0.1:9/d'], /the builtin guest .*--mirror/],
    ['a release with a name that is none', ['--kernel', 'debian:../etc'], /is not the name of a Debian release/],
  ]; // prettier-ignore
  for (const [name, args, says] of cases) {
    it(name, () => {
      const { status, stdout, stderr } = boot(args);
      assert.equal(status, 2, stderr);
      assert.equal(stdout, '');
      assertOneLine(stderr, says);
    });
  }

  it('each with status 128 in a bisection, which stops the bisection', () => {
    for (const args of [['--vcpus', '0'], ['--vcpu', '3'], alone(path.join(folder, 'none')), ['--no']]) {
      const { status, stderr } = boot([...args, '--bisect']);
      assert.equal(status, 128);
      assertOneLine(stderr, /./);
    }
  });
});

describe('without a network', () => {
  it('a requested kernel that is not in the cache gives one line and status 2', () => {
    const { status, stdout, stderr } = boot(['--kernel', 'debian:bookworm']);
    assert.equal(status, 2);
    assert.equal(stdout, '');
    assertOneLine(stderr, /debian:bookworm is not in the cache .*127\.0\.0\.1:9 cannot be reached/);
  });

  it('so does the default kernel, if other runs are to go on from a checkpoint of it', () => {
    const checkpoint = ['--checkpoint', path.join(folder, 'checkpoint'), '--checkpoint-at', 'userspace'];
    const { status, stdout, stderr } = boot(checkpoint);
    assert.equal(status, 2);
    assert.equal(stdout, '');
    assertOneLine(stderr, /debian:bookworm is not in the cache/);
  });

  it('so does one whose cached file is damaged', () => {
    const cache = path.join(folder, 'damaged');
    const hash = '0'.repeat(64);
    const entry = { path: 'boot/vmlinuz', sha256: hash, package: { name: 'l', version: '1', sha256: hash } };
    const record = { version: 1, fetched: 0, suites: [], files: { kernel: entry, busybox: entry } };
    mkdirSync(path.join(cache, 'domulator/debian'), { recursive: true });
    mkdirSync(path.join(cache, 'domulator/sha256'));
    writeFileSync(path.join(cache, 'domulator/debian/bookworm.json'), JSON.stringify(record));
    writeFileSync(path.join(cache, 'domulator/sha256', hash), 'something else');
    const { status, stderr } = boot(['--kernel', 'debian:bookworm'], cache);
    assert.equal(status, 2);
    assertOneLine(stderr, /damaged in the cache .*cannot be reached/);
  });

  it('so does an invalid record of the cache', () => {
    const cache = path.join(folder, 'nonsense');
    mkdirSync(path.join(cache, 'domulator/debian'), { recursive: true });
    writeFileSync(path.join(cache, 'domulator/debian/bookworm.json'), '{"version": 1, "files": []');
    const { status, stderr } = boot(['--kernel', 'debian:bookworm'], cache);
    assert.equal(status, 2);
    assertOneLine(stderr, /is not in the cache/);
  });
});

describe('a kernel that does not get anywhere', () => {
  const limit = ['--limit', ',2000000'];

  it('because it spins ends at the limit, with status 3', () => {
    const { status, stdout, stderr } = boot([...alone(file('spin', image(spin))), ...limit]);
    assert.equal(status, 3, stderr);
    assert.equal(stderr, '');
    assert.match(
      stdout,
      /^Ending: hang: no end after 2000000 instructions, which is the limit; vCPU 0 spins at 0x/m,
    );
    assert.match(stdout, /^No kernel log was found in the guest’s memory\.$/m);
  });

  it('because it jumps to an unmapped address ends there too', () => {
    const nowhere = image([movz(0, 0xdead, 2), branchTo(0)]);
    const { status, stdout, stderr } = boot([...alone(file('nowhere', nowhere)), ...limit]);
    assert.equal(status, 3, stderr);
    const text = stdout.replace(/\s+/g, ' ');
    assert.match(
      text,
      /no end after 2000000 instructions, which is the limit; vCPU 0 jumped to 0xdead00000000, where/,
    );
  });

  it('because it panics reports the panic, without terminal control characters', () => {
    const dying = image([...say('\u001b[2JKernel panic - not syncing: no \u001b[31mhope\n'), ...spin]);
    const { status, stdout } = boot([...alone(file('panic', dying)), '--until', 'poweroff', ...limit]);
    assert.equal(status, 3);
    assert.match(stdout, /^Ending: panic: no +\[31mhope$/m);
    assert.ok(!stdout.includes('\u001b'));
  });

  it('is reported to have no records, and on one vCPU gets no advice that would show nothing more', () => {
    const kernel = file("it's \u001b[2Jone", image(powerOff));
    const { status, stdout } = boot([...alone(kernel), '--vcpus', '1', '--until', 'poweroff']);
    assert.equal(status, 0);
    assert.match(stdout, /^Note: +no record of this kernel could be read/m);
    assert.doesNotMatch(stdout, /What if|npx domulator/);
    assert.ok(!stdout.includes('\u001b'));
  });

  it('because it needs a feature of Xen that is not implemented here ends with status 4, in a bisection with 125', () => {
    const kernel = file('multicall', image([...hypercall(13, 0, 0), ...spin]));
    const { status, stdout } = boot([...alone(kernel), ...limit]);
    assert.equal(status, 4);
    assert.match(stdout, /^Lacks: +multicall: Xen supports this/m);
    assert.equal(boot([...alone(kernel), ...limit, '--bisect']).status, 125);
  });

  it('has status 125 in a bisection; one that breaks a rule has 1, and a correct one 0', () => {
    const status = (words: readonly number[]): number | null =>
      boot([
        ...alone(file('bisected', image(words))),
        '--vcpus',
        '1',
        '--until',
        'poweroff',
        ...limit,
        '--bisect',
      ]).status;
    assert.equal(status(spin), 125);
    assert.equal(status([...hypercall(24, 10, 9, 0), ...powerOff]), 1);
    assert.equal(status(powerOff), 0);
  });
});
