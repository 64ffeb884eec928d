/** SMEP and SMAP (Intel SDM, volume 3, 4.6.1): what the supervisor may do with user pages. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { segments } from '../../isa/x86_64/index.js';
import { vectors } from './events.js';
import { cr4 } from './regime.js';
import { attribute } from './segments.js';
import {
  enterLongMode,
  flatSegment,
  mapIdentity,
  pageEntry,
  places,
  selectors,
  setGate,
  testMachine,
} from './test_machine.js';
import type { TestMachine } from './test_machine.js';
import type { X86VcpuView } from './vcpu_view.js';

const at = { program: 0x1000, handlers: 0x2000, own: 0x5000, user: 0x4000, userCode: 0x6000, stack: 0x8000, many: 0x20_0000 } as const; // prettier-ignore
const { executionPrevention: smep, accessPrevention: smap } = cr4;

interface Outcome {
  /** The exception that ended the program; null where it came to its end. */
  readonly vector: number | null;
  readonly errorCode: number;
  readonly machine: TestMachine;
  readonly view: X86VcpuView;
}

/** Marks the pages of a range as the user's. */
function giveToUser({ memory }: TestMachine, address: number): void {
  const entry = pageEntry(address);
  memory.setBigUint64(entry, memory.getBigUint64(entry, true) | 4n, true);
}

/** A CPU whose pages are the supervisor's, but for some. */
function newMachine(control: number): { machine: TestMachine; view: X86VcpuView } {
  const machine = testMachine();
  const view = enterLongMode(machine);
  mapIdentity(machine, 3n);
  for (const address of [at.user, at.userCode]) giveToUser(machine, address);
  for (const vector of [vectors.invalidOpcode, vectors.generalProtection, vectors.pageFault]) {
    const handler = at.handlers + 32 * vector;
    const code = vector === vectors.invalidOpcode ? '' : 'pop %rbx\n';
    machine.program(handler, `${code}mov $${vector}, %eax\nvmmcall`);
    setGate(machine, vector, BigInt(handler));
  }
  view.setSystem({ cr4: view.system.cr4 | control });
  view.setRegister(4, BigInt(at.stack));
  machine.memory.setBigUint64(places.task + 4, BigInt(at.stack), true);
  return { machine, view };
}

function run(
  control: number,
  text: string,
  prepare?: (machine: TestMachine, view: X86VcpuView) => void,
): Outcome {
  const { machine, view } = newMachine(control);
  machine.program(at.program, `${text}\nmov $0xff, %eax\nvmmcall`);
  prepare?.(machine, view);
  view.pc = BigInt(at.program);
  machine.run();
  const found = machine.heard.at(-1)?.at ?? 0xff;
  return { vector: found === 0xff ? null : found, errorCode: Number(view.register(3)), machine, view };
}

const read = `mov ${at.user}, %rcx`;
const write = `mov %rcx, ${at.user}`;

describe('SMAP', () => {
  it('refuses the supervisor user pages, and says so in the error code', () => {
    assert.deepEqual([run(smap, read).vector, run(smap, read).errorCode], [vectors.pageFault, 1]);
    assert.deepEqual([run(smap, write).vector, run(smap, write).errorCode], [vectors.pageFault, 3]);
    assert.equal(run(0, `${read}\n${write}`).vector, null);
  });

  it('permits them while AC is set', () => {
    assert.equal(run(smap, `stac\n${read}\n${write}`).vector, null);
  });

  it('refuses them again behind CLAC, POPF and IRET, also those that were accessed before', () => {
    const first = `stac\n${read}\n${write}`;
    const without = 'pushf\nbtrq $0x12, (%rsp)';
    const back = `mov %ss, %eax\npush %rax\nmov %rsp, %rdx\nadd $0x8, %rdx\npush %rdx\n${without}\nmov %cs, %eax\npush %rax\n`;
    for (const [end, what] of [
      ['clac', 'CLAC'],
      [`${without}\npopf`, 'POPF'],
      [`${back}lea behind(%rip), %rax\npush %rax\niretq\nbehind:`, 'IRET'],
    ] as const) {
      for (const again of [read, write]) assert.equal(run(smap, `${first}\n${end}\n${again}`).vector, vectors.pageFault, what);
      assert.equal(run(smap, `${first}\n${end}\nmov ${at.own}, %rcx`).vector, null, what);
    }
  }); // prettier-ignore

  it('refuses them behind CLAC also where the CPU was saved and restored before that', () => {
    const { machine, view } = newMachine(smap);
    machine.program(at.program, `stac\n${read}\nvmmcall\nclac\n${read}\nmov $0xff, %eax\nvmmcall`);
    view.pc = BigInt(at.program);
    machine.run();
    assert.equal(view.pc, BigInt(at.program + 14));
    machine.processor.load(machine.processor.save());
    machine.run();
    assert.equal(machine.heard.at(-1)?.at, vectors.pageFault);
  });

  it('refuses them behind CLAC where there were more than are listed', () => {
    const pages = 100;
    const touch = `mov $${at.many}, %esi\nmov $${pages}, %ecx\nnext: mov (%rsi), %rax\nadd $0x1000, %rsi\ndec %ecx\njne next`;
    const prepare = (machine: TestMachine): void => {
      for (let page = 0; page < pages; page += 1) giveToUser(machine, at.many + 4096 * page);
    };
    assert.equal(run(smap, `stac\n${touch}`, prepare).vector, null);
    for (const page of [0, pages - 1])
      assert.equal(
        run(smap, `stac\n${touch}\nclac\nmov ${at.many + 4096 * page}, %rax`, prepare).vector,
        vectors.pageFault,
      );
  });

  it('refuses what no instruction accesses, whatever AC is', () => {
    // A descriptor of data, in a local table that is in a user page.
    const prepare = ({ memory }: TestMachine, view: X86VcpuView): void => {
      memory.setBigUint64(at.user + 8, 0x00cf93000000ffffn, true);
      const table = { selector: 0x38, base: BigInt(at.user), limit: 0xf, attributes: attribute.present | 2 };
      view.setSystem({ localTable: table });
    };
    const load = 'stac\nmov $0xc, %eax\nmov %eax, %ds';
    const { vector, view } = run(smap, `stac\n${read}\n${load}`, prepare);
    assert.deepEqual([vector, view.system.cr2], [vectors.pageFault, BigInt(at.user + 8)]);
    assert.equal(run(0, load, prepare).vector, null);
  });

  it('is no matter of user code', () => {
    const { machine, view } = newMachine(smap | smep);
    machine.program(at.userCode, `${read}\nclac`);
    view.setSegment(segments.cs, { ...flatSegment(selectors.user | 3, 'code64', 3) });
    view.setSegment(segments.ss, { ...flatSegment(selectors.userData | 3, 'data', 3) });
    view.load({ ...view.save(), privilege: 3, pc: BigInt(at.userCode) });
    machine.run();
    // CLAC belongs to the supervisor.
    assert.equal(machine.heard.at(-1)?.at, vectors.invalidOpcode);
  });

  it('lets the supervisor access what it may, for any order of accesses and changes of AC', () => {
    const steps = ['stac', 'clac', 'popf with AC', 'popf without AC', 'read', 'write', 'read own', 'write own'] as const;
    const texts: Readonly<Record<(typeof steps)[number], string>> = {
      stac: 'stac',
      clac: 'clac',
      'popf with AC': 'pushf\nbtsq $0x12, (%rsp)\npopf',
      'popf without AC': 'pushf\nbtrq $0x12, (%rsp)\npopf',
      read,
      write,
      'read own': `mov ${at.own}, %rcx`,
      'write own': `mov %rcx, ${at.own}`,
    };
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...steps), { maxLength: 24 }), (chosen) => {
        const { machine, view } = newMachine(smap);
        // The handler takes note of the access and goes on behind it: each has 8 bytes.
        machine.program(at.handlers, 'add $0x8, %rsp\naddq $0x8, (%rsp)\nbts %rbx, %rdx\niretq');
        setGate(machine, vectors.pageFault, BigInt(at.handlers));
        const program = chosen.map((step) => `inc %rbx\n${texts[step]}`).join('\n');
        machine.program(at.program, `xor %ebx, %ebx\nxor %edx, %edx\n${program}\nvmmcall`);
        view.pc = BigInt(at.program);
        machine.run();
        let [isOpen, expected] = [false, 0n];
        for (const [index, step] of chosen.entries()) {
          if (step === 'stac' || step === 'popf with AC') isOpen = true;
          if (step === 'clac' || step === 'popf without AC') isOpen = false;
          if ((step === 'read' || step === 'write') && !isOpen) expected |= 1n << BigInt(index + 1);
        }
        assert.equal(view.register(2), expected);
      }),
      { numRuns: 60 },
    );
  }); // prettier-ignore
});

describe('SMEP', () => {
  const jump = `mov $${at.userCode}, %eax\njmp *%rax`;
  const program = (machine: TestMachine): void => {
    machine.program(at.userCode, 'mov $0xff, %eax\nvmmcall');
  };

  it('refuses the supervisor to execute user pages', () => {
    assert.equal(run(0, jump, program).vector, null);
    const { vector, errorCode } = run(smep, jump, program);
    assert.deepEqual([vector, errorCode], [vectors.pageFault, 0x11]);
  });

  it('refuses it from when on it is set, and SMAP has nothing to do with it', () => {
    assert.equal(run(smap, jump, program).vector, null);
    const twice = `mov $${at.userCode}, %ebp\ncall *%rbp\nmov %cr4, %rax\nbts $0x14, %rax\nmov %rax, %cr4\ncall *%rbp`;
    const returns = (machine: TestMachine): void => void machine.program(at.userCode, 'ret');
    assert.equal(run(0, twice, returns).vector, vectors.pageFault);
  });
});
