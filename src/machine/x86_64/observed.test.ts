/** Holds what a guest reads against what a guest of a real Xen read (test_reference.ts). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { present } from '../../base/index.js';
import { xenVcpuId } from '../../identity/index.js';
import { cpuModelNames, cpuModels } from '../../isa/x86_64/index.js';
import type { CpuFeature, CpuModel } from '../../isa/x86_64/index.js';
import { cpuid } from './cpuid.js';
import { powerOff, testGuest } from './test_guest.js';
import { observedLeaves, observedRegisters } from './test_reference.js';

/** The reference guest's TSC, by which leaf 0x40000003 follows. */
const clock = { tscKHz: 2_596_139, tscStable: false, wallclockSec: 0 };

describe('CPUID', () => {
  const { machine } = testGuest(powerOff, { vcpus: 4, config: { clock } });
  const read = (
    vcpu: number,
    leaf: number,
    subleaf: number,
    features: ReadonlySet<CpuFeature> = cpuModels.minimal,
  ): number[] => {
    const cpu = { id: xenVcpuId(vcpu), features, apicBase: 0x800n };
    const { eax, ebx, ecx, edx } = cpuid(machine.domain, cpu, leaf, subleaf);
    return [eax, ebx, ecx, edx];
  };
  /** Those that have features, and the word of the first of these. */
  const featureLeaves: ReadonlyMap<number, number> = new Map([[1, 2], [0x8000_0001, 2], [7, 1]]); // prettier-ignore

  it('reads on each vCPU as observed, but for features', () => {
    for (const { vcpu, leaf, subleaf, values } of observedLeaves) {
      if (featureLeaves.has(leaf)) continue;
      // EAX bits 2:0 of Xen's time leaf: there the TSC was emulated; here it is the host's. EBX of 0x80000008 has features.
      const isDifferent = (leaf === 0x4000_0003 && subleaf === 0) || leaf === 0x8000_0008;
      const at = leaf === 0x8000_0008 ? 1 : 0;
      const found = read(vcpu, leaf, subleaf);
      const expected = values.map((value, i) => (isDifferent && i === at ? found[i] : value));
      assert.deepEqual(found, expected, `vCPU ${vcpu}, leaf 0x${leaf.toString(16)}.${subleaf}`);
    }
  });

  it('has the observed identification and APIC id in leaf 1, and no feature that was not observed', () => {
    // The host's QEMU 7.2 has no contexts, and SMAP was turned off there.
    const notOffered: readonly CpuFeature[] = ['pcid', 'invpcid', 'smap'];
    for (const model of cpuModelNames) {
      const features = new Set([...cpuModels[model]].filter((each) => !notOffered.includes(each)));
      for (const { vcpu, leaf, subleaf, values } of observedLeaves) {
        const first = featureLeaves.get(leaf);
        if (first === undefined) continue;
        const found = read(vcpu, leaf, subleaf, features);
        assert.deepEqual(found.slice(0, first), values.slice(0, first));
        const others = found.slice(first).map((value, i) => value & ~(values[first + i] ?? 0));
        assert.deepEqual(others, Array(4 - first).fill(0), `leaf 0x${leaf.toString(16)}`);
      }
    }
    const [, , ecx = 0, edx] = read(0, 1, 0);
    // x2APIC and hypervisor; fpu pse tsc msr pae cx8 apic pge cmov mmx fxsr sse sse2 htt.
    assert.deepEqual([ecx, edx], [0x8020_0000, 0x1780_a379]);
    // The same up to fxsr, and syscall nx lm.
    assert.equal(read(0, 0x8000_0001, 0)[3], 0x2190_ab79);
  });

  it('tells of the area for XSAVE where there is one', () => {
    // For x87 and SSE alone it has 576 bytes (Xen 4.17 arch/x86/cpuid.c, recalculate_xstate, and XCR0 as the guest sets it).
    assert.deepEqual(read(0, 0xd, 0, cpuModels.v2), [3, 0x240, 0x240, 0]);
    assert.deepEqual(read(0, 0xd, 1, cpuModels.v2), [1, 0, 0, 0]);
    assert.deepEqual(read(0, 0xd, 2, cpuModels.v2), [0, 0, 0, 0]);
    assert.deepEqual(read(0, 0xd, 0), [0, 0, 0, 0]);
  });

  it('has no APIC where the guest turned it off', () => {
    const cpu = { id: xenVcpuId(0), features: cpuModels.minimal, apicBase: 0n };
    const { edx } = cpuid(machine.domain, cpu, 1, 0);
    assert.equal(edx & 0x200, 0);
  });
});

/** Registers whose values are the kernel's own, or change with time. */
const keptByKernel: readonly number[] = [
  0x10, 0x174, 0x175, 0x176, 0x277, 0x808, 0x80a, 0x830, 0x835, 0x836, 0x837,
  0xc000_0080, 0xc000_0081, 0xc000_0082, 0xc000_0083, 0xc000_0084, 0xc000_0100, 0xc000_0101, 0xc000_0102,
]; // prettier-ignore

describe('model-specific registers', () => {
  it('exist and read as observed; all others raise #GP', () => {
    checkRegisters('v2', observedRegisters);
  });

  it('raise #GP where they belong to a feature that the CPU lacks', () => {
    checkRegisters('minimal', new Map([...observedRegisters, [0xc000_0103, null]]));
  });

  /** Holds the registers of a guest against those that are expected. */
  function checkRegisters(cpu: CpuModel, all: ReadonlyMap<number, bigint | null>): void {
    const numbers = [...all.keys()];
    const guest = testGuest(
      `
      mov $0x1b, %ecx
      rdmsr
      or $0x400, %eax
      wrmsr
      mov $0x80f, %ecx
      mov $0x1ff, %eax
      xor %edx, %edx
      wrmsr
      mov $0x30000, %esi
      mov $0x38000, %edi
    next:
      mov (%rsi), %ecx
      add $0x4, %rsi
      test %ecx, %ecx
      je end
      xor %ebx, %ebx
      rdmsr
      shl $0x20, %rdx
      or %rdx, %rax
      mov %rax, (%rdi)
      mov %rbx, 0x8(%rdi)
      add $0x10, %rdi
      jmp next
    fault:
      mov $0x1, %ebx
      add $0x8, %rsp
      addq $0x2, (%rsp)
      iretq
    end:
      ${powerOff}
    `,
      { gates: { 13: 'fault' }, cpu },
    );
    guest.machine.load(0x3_0000n, new Uint8Array(Uint32Array.from([...numbers, 0]).buffer));
    assert.equal(guest.runToEnd(), 'shutdown');
    const page = present(guest.machine.frames.readable(0x38), 'memory');
    const view = new DataView(page.buffer, page.byteOffset, 4096);
    for (const [index, number] of numbers.entries()) {
      const faulted = view.getUint32(16 * index + 8, true) === 1;
      const expected = all.get(number) ?? null;
      const what = `MSR 0x${number.toString(16)}`;
      assert.equal(faulted, expected === null, what);
      if (expected === null || keptByKernel.includes(number)) continue;
      assert.equal(view.getBigUint64(16 * index, true), expected, what);
    }
  }
});
