import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { arm64 } from './arm64/index.js';
import { powerOff } from './calls.js';
import { loadAddress } from './elf.js';
import { initProgram } from './init_program.js';
import { parameterOffset } from './parameters.js';
import type { ParameterName } from './parameters.js';
import { commandEndOf } from './reported_status.js';
import { utf8 } from './utf8.js';
import { x86_64 } from './x86_64/index.js';
import type { InitArchitecture } from './architecture.js';

describe('UTF-8', () => {
  it('agrees with the standard encoder', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        assert.deepEqual([...utf8(text)], [...Buffer.from(text, 'utf8')]);
      }),
    );
  });
});

/** Some registers of a user program by their places (uapi/asm/ptrace.h of each architecture): the code segment, or PSTATE. */
const architectures = [
  { name: 'arm64', init: arm64, machine: 183, user: [] },
  { name: 'amd64', init: x86_64, machine: 62, user: [[17, 0x33n]] },
] as const;

/** The lists that the program uses before it starts its command. */
const fixedLists = [
  'environment',
  'setup',
  'shells',
  'directories',
  'mounts',
] as const satisfies readonly ParameterName[];

/** The addresses of those lists and of their texts, with these texts. */
function usedBefore(
  program: Uint8Array,
  init: InitArchitecture,
): { name: string; addresses: number[]; texts: string[] }[] {
  const bytes = Buffer.from(program);
  const wordAt = (at: number): number => Number(bytes.readBigUInt64LE(at));
  const parameters = init.assembledCode().bytes.length;
  return fixedLists.map((name) => {
    const list = wordAt(parameters + parameterOffset[name]);
    const addresses = [list];
    const texts: string[] = [];
    for (let at = list - loadAddress; list !== 0 && wordAt(at) !== 0; at += 8) {
      const text = wordAt(at) - loadAddress;
      addresses.push(wordAt(at));
      texts.push(bytes.toString('utf8', text, bytes.indexOf(0, text)));
    }
    return { name, addresses, texts };
  });
}

for (const { name, init, machine, user } of architectures) {
  describe(`the first process of an ${name} guest`, () => {
    it('is an ELF file that contains the command unchanged', () => {
      const bytes = initProgram({ args: ['echo', 'a  b', ''], setup: null }, init);
      const view = new DataView(bytes.buffer);
      assert.deepEqual([...bytes.subarray(0, 7)], [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
      assert.equal(view.getUint16(18, true), machine);
      // One load segment covers the whole file.
      assert.equal(view.getBigUint64(64 + 32, true), BigInt(bytes.length));
      assert.ok(Buffer.from(bytes).includes('echo\0'));
      assert.ok(Buffer.from(bytes).includes('a  b\0'));
    });

    it('has all that it uses before the command at the same places, whatever the command is', () => {
      const setup = ['/bin/setup', '--all'];
      const commands = [
        ['a'],
        ['/bin/true'],
        ['dmesg', '-l', 'err'],
        ['sh', '-c', 'exit 3'],
        ['x'.repeat(4000)],
        ['echo', 'long '.repeat(8000), ''],
      ];
      for (const prepare of [setup, null]) {
        const [first, ...others] = commands.map((args) =>
          usedBefore(initProgram({ args, setup: prepare }, init), init),
        );
        assert.ok(first !== undefined);
        for (const other of others) assert.deepEqual(other, first);
        const [, prepared, , , mounted] = first;
        assert.deepEqual(prepared?.texts, prepare ?? []);
        assert.deepEqual(mounted?.texts.slice(0, 2), ['proc', '/proc']);
      }
    });
  });

  describe(`the reported status of an ${name} guest`, () => {
    const at = init.savedRegisters;
    const returnAddress = BigInt(init.assembledCode().symbols.get('power_off_return') ?? 0);

    /** A kernel stack with the registers of the power-off call `place` bytes from its start. */
    function stackWith(
      place: number,
      status: number,
      change: (registers: bigint[]) => void = () => undefined,
    ): Uint8Array {
      const registers = Array<bigint>(at.words).fill(0n);
      registers[at.magic2] = BigInt(powerOff.magic2);
      registers[at.command] = BigInt(powerOff.command);
      registers[at.tag] = powerOff.tag;
      registers[at.status] = BigInt(status);
      registers[at.complement] = BigInt.asUintN(64, ~BigInt(status));
      registers[at.number] = BigInt(init.powerOffNumber);
      registers[at.pc] = returnAddress;
      for (const [register, value] of user) registers[register] = value;
      change(registers);
      const stack = new Uint8Array(place + 8 * at.words + 64);
      const view = new DataView(stack.buffer);
      registers.forEach((value, i) => view.setBigUint64(place + 8 * i, value, true));
      return stack;
    }

    it('is found wherever the registers are, with the meaning of wait(2)', () => {
      assert.deepEqual(commandEndOf(stackWith(0, 0), init), { exitCode: 0, signal: null });
      assert.deepEqual(commandEndOf(stackWith(1000, 3 << 8), init), { exitCode: 3, signal: null });
      // 0x80 means that a core dump was written.
      assert.deepEqual(commandEndOf(stackWith(16, 0x80 | 11), init), { exitCode: null, signal: 11 });
      fc.assert(
        fc.property(fc.nat(255), fc.nat(4000), (code, place) => {
          const stack = stackWith(8 * place, code << 8);
          assert.deepEqual(commandEndOf(stack, init), { exitCode: code, signal: null });
        }),
      );
    });

    it('is not found if any of the registers differs', () => {
      const { magic2, command, tag, status, complement, number, pc } = at;
      for (const register of [magic2, command, tag, status, complement, number, pc]) {
        const changed = stackWith(
          64,
          0,
          (registers) => (registers[register] = (registers[register] ?? 0n) ^ 4n),
        );
        assert.equal(commandEndOf(changed, init), null, `register ${register}`);
      }
      assert.equal(commandEndOf(new Uint8Array(), init), null);
      assert.equal(commandEndOf(stackWith(64, 0).subarray(0, 160), init), null);
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => commandEndOf(bytes, init) === null),
      );
    });

    it('is not found in the registers of the kernel itself', () => {
      const place = name === 'arm64' ? 33 : 17;
      const kernel = name === 'arm64' ? 5n : 0x10n;
      assert.equal(
        commandEndOf(
          stackWith(0, 0, (registers) => (registers[place] = kernel)),
          init,
        ),
        null,
      );
    });
  });
}
