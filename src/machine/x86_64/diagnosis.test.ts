import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { firstXenVcpu } from '../../identity/index.js';
import type { X86VcpuDiagnosis } from './diagnosis.js';
import { powerOff, testGuest } from './test_guest.js';
import type { TestGuest } from './test_guest.js';

function run(program: string, gates: Record<number, string> = {}): TestGuest {
  const guest = testGuest(program, { gates });
  guest.machine.run(100_000, 10_000_000_000n);
  return guest;
}

function diagnosisOf(guest: TestGuest): X86VcpuDiagnosis {
  const found = guest.machine.board.diagnose(firstXenVcpu);
  assert.ok(found !== null);
  return found;
}

describe('the diagnosis of a vCPU', () => {
  it('names the exception in the kernel that it has not returned from, with its instruction', () => {
    const guest = run('movabs $0x100000000, %rbx\nfault: mov (%rbx), %rax\nhandler: pause\njmp handler', {
      14: 'handler',
    });
    const pc = BigInt(guest.address('fault'));
    const { open, spinsAt } = diagnosisOf(guest);
    const text = 'mov (%rbx),%rax';
    assert.deepEqual(open, { vector: 14, errorCode: 0, address: 0x1_0000_0000n, pc, text });
    assert.equal(spinsAt, BigInt(guest.address('handler')));
  });

  it('names none after IRET, and no loop that an interrupt can end', () => {
    const guest = run(
      'int3\nud2\nsti\nagain: pause\njmp again\nskip: addq $0x2, (%rsp)\niretq\nback: iretq',
      {
        3: 'back',
        6: 'skip',
      },
    );
    assert.deepEqual(diagnosisOf(guest), { open: null, faultsAt: null, spinsAt: null });
  });

  it('says where no instruction is defined', () => {
    const guest = run('.byte 0x0f, 0xff, 0xff\nhandler: jmp handler', { 6: 'handler' });
    const { open } = diagnosisOf(guest);
    assert.deepEqual([open?.vector, open?.pc], [6, BigInt(guest.address('handler') - 3)]);
  });

  it('is kept by a saved machine, and there is none of a vCPU that is down', () => {
    const guest = run('ud2\nhandler: jmp handler', { 6: 'handler' });
    const other = testGuest('ud2\nhandler: jmp handler', { gates: { 6: 'handler' } });
    other.machine.restore(guest.machine.save());
    assert.deepEqual(diagnosisOf(other), diagnosisOf(guest));
    assert.equal(diagnosisOf(other).open?.text, 'ud2');
    const ended = testGuest(powerOff, { vcpus: 1 });
    assert.equal(ended.machine.board.diagnose(firstXenVcpu), null);
  });
});
