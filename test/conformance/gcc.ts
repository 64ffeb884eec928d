/**
 * Asks a C compiler for the values of constant expressions in Xen's public headers, on x86-64 and on arm64. The
 * compiler only generates assembly text, in which each value follows a mark, so arm64 code never has to run.
 */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Arch } from '../../src/abi/index.js';

const compilers: Readonly<Record<Arch, readonly string[]>> = {
  x86_64: process.arch === 'x64' ? ['x86_64-linux-gnu-gcc', 'gcc'] : ['x86_64-linux-gnu-gcc'],
  arm64: process.arch === 'arm64' ? ['aarch64-linux-gnu-gcc', 'gcc'] : ['aarch64-linux-gnu-gcc'],
};

/** Debian's libxen-dev. DOMULATOR_XEN_HEADERS gives another directory of public headers (with xen.h). */
const xenHeaders = process.env['DOMULATOR_XEN_HEADERS'] ?? '/usr/include/xen';
const psciHeader = '/usr/include/linux/psci.h';

/** All headers that src/abi/xen and src/abi/arm declare from, in the toolstack's view. */
const preamble = `
#define __XEN_TOOLS__ 1
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/errno.h>
#include <xen/event_channel.h>
#include <xen/features.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/physdev.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/hvm_vcpu.h>
#include <xen/hvm/ioreq.h>
#include <xen/hvm/params.h>
#include <xen/io/console.h>
#include <xen/io/xs_wire.h>
#include <xen/arch-x86/cpuid.h>
#include <xen/arch-x86/hvm/start_info.h>
#if __has_include(<linux/psci.h>)
#include <linux/psci.h>
#endif
typedef XEN_GUEST_HANDLE(void) guest_handle;
/* 1 signed, 0 unsigned, 2 neither: a handle, a pointer, plain char, an aggregate */
#define SIGNED(x) _Generic((x), signed char: 1, short: 1, int: 1, long: 1, long long: 1, \\
  unsigned char: 0, unsigned short: 0, unsigned int: 0, unsigned long: 0, unsigned long long: 0, default: 2)
`;

function runs(command: string): boolean {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;
}

/** The compiler for `arch`, or why there is none. */
export function compilerFor(arch: Arch): { readonly command: string } | { readonly missing: string } {
  if (!existsSync(join(xenHeaders, 'xen.h'))) return { missing: `no ${xenHeaders}/xen.h (libxen-dev)` };
  const command = compilers[arch].find(runs);
  return command === undefined ? { missing: `no ${compilers[arch].join(' or ')}` } : { command };
}

/** Whether the header with PSCI's numbers exists. */
export const hasPsciHeader = existsSync(psciHeader);

/** Puts each question into a separate function, so that gcc reports an unknown name every time it occurs. */
function program(expressions: readonly (string | null)[]): string {
  const lines = expressions.map((expression, i) =>
    expression === null
      ? ''
      : `void q${i}(void) { __asm__("@answer ${i} %0" : : "i" ((long long)(${expression}))); }`,
  );
  return `${preamble}#line 1 "questions"\n${lines.join('\n')}\n`;
}

/** gcc's message for an unknown constant, struct, type or member. */
const unknownName = /undeclared|undefined type|incomplete type|unknown type name|has no member/;

interface Outcome {
  readonly refused: readonly number[];
  readonly answers: ReadonlyMap<number, bigint>;
}

function compile(command: string, directory: string, source: string): Outcome {
  const [input, output] = [join(directory, 'ask.c'), join(directory, 'ask.s')];
  writeFileSync(input, source);
  const options = [
    '-std=gnu90',
    '-ffreestanding',
    '-w',
    '-O0',
    '-fmax-errors=0',
    '-ftrack-macro-expansion=0',
  ];
  const { stderr, status } = spawnSync(
    command,
    [...options, '-fno-pie', '-isystem', directory, '-S', '-o', output, input],
    { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' }, maxBuffer: 2 ** 28 },
  );
  const errors = [...stderr.matchAll(/^(?:.*\/ask\.c|questions):(\d+):\d+: (?:fatal )?error: (.*)$/gm)];
  const others = errors.filter(([, , message]) => !unknownName.test(message!));
  if (others.length > 0 || (status !== 0 && errors.length === 0)) {
    throw new Error(`${command} cannot answer:\n${others[0]?.[0] ?? stderr.slice(0, 2000)}`);
  }
  const refused = errors.map(([, line]) => Number(line) - 1);
  const text = status === 0 ? readFileSync(output, 'utf8') : '';
  const marks = [...text.matchAll(/@answer (\d+) [$#]?(-?\d+)/g)];
  return { refused, answers: new Map(marks.map(([, i, value]) => [Number(i), BigInt(value!)])) };
}

function includeDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'domulator-conformance-'));
  symlinkSync(xenHeaders, join(directory, 'xen'));
  mkdirSync(join(directory, 'linux'));
  if (hasPsciHeader) symlinkSync(psciHeader, join(directory, 'linux', 'psci.h'));
  return directory;
}

/** The value of each C expression as a signed 64-bit number; null if the headers do not know it. */
export function ask(command: string, expressions: readonly string[]): (bigint | null)[] {
  const directory = includeDirectory();
  try {
    let open: (string | null)[] = [...expressions];
    let outcome = compile(command, directory, program(open));
    while (outcome.refused.length > 0) {
      const refused = new Set(outcome.refused);
      open = open.map((expression, i) => (refused.has(i) ? null : expression));
      outcome = compile(command, directory, program(open));
    }
    return expressions.map((_, i) => outcome.answers.get(i) ?? null);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
