import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as abi from '../../abi/index.js';
import { makeTestDomain } from '../test_domain.js';
import { hvmEntry, isHvmContextValid, isPvContextValid, pvContext } from './vcpu_context.js';
import type { HvmContext } from '../domain.js';
import type { PvContext } from './vcpu_context.js';

const notCanonical = 0x8000_0000_0000n;

function pv(change: (context: PvContext) => void): PvContext {
  const context = pvContext.decode(new Uint8Array(pvContext.size));
  context.flags = BigInt(abi.VGCF_in_kernel);
  change(context);
  return context;
}

/** What Xen refuses, each by itself (Xen 4.17 arch/x86/domain.c, arch_set_info_guest). */
const pvFaults: Record<string, (context: PvContext) => void> = {
  rip: ({ user_regs }) => (user_regs.rip = notCanonical),
  rsp: ({ user_regs }) => (user_regs.rsp = notCanonical),
  kernel_sp: (c) => (c.kernel_sp = notCanonical),
  ldt_base: (c) => Object.assign(c, { ldt_base: notCanonical, ldt_ents: 1n }),
  'ldt_base in Xen': (c) => (c.ldt_base = 0xffff_8000_0000_0000n),
  'ldt_base within a page': (c) => (c.ldt_base = 8n),
  ldt_ents: (c) => (c.ldt_ents = 8193n),
  fs_base: (c) => (c.fs_base = notCanonical),
  gs_base_kernel: (c) => (c.gs_base_kernel = notCanonical),
  gs_base_user: (c) => (c.gs_base_user = notCanonical),
  event_callback_eip: (c) => (c.event_callback_eip = notCanonical),
  failsafe_callback_eip: (c) => (c.failsafe_callback_eip = notCanonical),
  syscall_callback_eip: (c) => (c.syscall_callback_eip = notCanonical),
  trap_ctxt: ({ trap_ctxt }) => (trap_ctxt[255]!.address = notCanonical),
  gdt_ents: (c) => (c.gdt_ents = 7169n),
  'gdt_ents beyond 16 frames': (c) => (c.gdt_ents = 0x1_0000_2001n),
  gdt_frames: (c) => Object.assign(c, { gdt_ents: 1n, gdt_frames: [0x5000n] }),
  cr3: ({ ctrlreg }) => (ctrlreg[3] = 0x5000n << 12n),
  'user cr3': ({ ctrlreg }) => (ctrlreg[1] = 0x5000n << 12n),
  'no user table': (c) => (c.flags = 0n),
};

test('a PV state is refused for each thing that Xen checks, and for no other', () => {
  const domain = makeTestDomain('pv');
  const vcpu = domain.state.vcpus[1]!;
  assert.ok(
    isPvContextValid(
      domain,
      vcpu,
      pv(() => undefined),
    ),
  );
  for (const [what, spoil] of Object.entries(pvFaults)) {
    assert.ok(!isPvContextValid(domain, vcpu, pv(spoil)), what);
  }
  const unmappedLdt = pv((c) => (c.ldt_base = 0x7fff_ffff_f000n));
  assert.ok(isPvContextValid(domain, vcpu, unmappedLdt), 'an LDT without entries');
});

test("only vCPU 0 brings the domain's assists along (arch_set_info_guest)", () => {
  const domain = makeTestDomain('pv');
  const unknown = pv((c) => (c.vm_assist = 1n << 20n));
  assert.ok(isPvContextValid(domain, domain.state.vcpus[1]!, unknown));
  assert.ok(!isPvContextValid(domain, domain.state.vcpus[0]!, unknown));
  const known = pv((c) => (c.vm_assist = (1n << 32n) | (1n << 5n)));
  assert.ok(isPvContextValid(domain, domain.state.vcpus[0]!, known));
});

test('4.18 refuses debug registers that 4.17 trims (Xen 4.18 arch/x86/domain.c, arch_set_info_guest)', () => {
  for (const [release, valid] of [
    ['4.17', true],
    ['4.18', false],
  ] as const) {
    const domain = makeTestDomain('pv', 2, { release });
    for (const [register, value] of [
      [6, 1n << 32n],
      [7, 1n << 32n],
      [0, 0xffff_8000_0000_0000n],
    ] as const) {
      const context = pv(({ debugreg }) => (debugreg[register] = value));
      assert.equal(
        isPvContextValid(domain, domain.state.vcpus[1]!, context),
        valid,
        `${release} ${register}`,
      );
    }
  }
});

type Registers64 = NonNullable<HvmContext['cpu_regs']['x86_64']>;
type Registers32 = NonNullable<HvmContext['cpu_regs']['x86_32']>;

const flat = { code: 0xc9b, data: 0xc93, task: 0x8b };

function hvm32(change: Partial<Registers32>): HvmContext {
  const zeroes = abi.vcpu_hvm_context.decode(new Uint8Array(abi.vcpu_hvm_context.size)).cpu_regs.x86_32!;
  const segments = {
    ...{ cs_ar: flat.code, ds_ar: flat.data, ss_ar: flat.data, es_ar: flat.data, tr_ar: flat.task },
    ...{ cs_limit: 0xf_ffff, ds_limit: 0xf_ffff, ss_limit: 0xf_ffff, es_limit: 0xf_ffff, tr_limit: 0x67 },
  };
  const x86_32 = { ...zeroes, ...segments, eip: 0x10_0000, cr0: 1, ...change };
  return { mode: abi.VCPU_HVM_MODE_32B, pad: 0, cpu_regs: { x86_32 } };
}

function hvm64(change: Partial<Registers64>): HvmContext {
  const zeroes = abi.vcpu_hvm_context.decode(new Uint8Array(abi.vcpu_hvm_context.size)).cpu_regs.x86_64!;
  const x86_64 = { ...zeroes, rip: 0x1000n, cr0: 0x8000_0001n, cr4: 0x20n, efer: 0x100n, ...change };
  return { mode: abi.VCPU_HVM_MODE_64B, pad: 0, cpu_regs: { x86_64 } };
}

/** What Xen refuses of a 32-bit state, each by itself (Xen 4.17 arch/x86/hvm/domain.c). */
const faults32: Record<string, Partial<Registers32>> = {
  pad1: { pad1: 1 },
  pad2: { pad2: [0, 0, 1] },
  'null cs': { cs_ar: 0 },
  'null ss': { ss_ar: 0 },
  'null tr': { tr_ar: 0 },
  'spare attribute bits': { ds_ar: flat.data | 0x1000 },
  'system segment as data': { ds_ar: 0xc83 },
  'code that is none': { cs_ar: flat.data },
  'stack that cannot be written': { ss_ar: 0xc91 },
  'stack that is code': { ss_ar: flat.code },
  'code that cannot be read as data': { es_ar: 0xc99 },
  'segment that is not present': { es_ar: 0xc13 },
  'task that is a code segment': { tr_ar: flat.code },
  'task of 16 bits': { tr_ar: 0x83 },
  'eip beyond the limit': { cs_ar: 0x49b, cs_limit: 0xff },
  'stack of another level': { ss_ar: flat.data | 0x60 },
  'data of a lower level': { ds_ar: flat.data | 0x20 },
  'long mode active but not enabled': { efer: 0x400n },
  'unknown cr4 bits': { cr4: 0x2000 },
  'unknown efer bits': { efer: 0x2n },
};

test('an HVM state of 32 bits is refused for each thing that Xen checks', () => {
  assert.ok(isHvmContextValid(hvm32({})));
  assert.equal(hvmEntry(hvm32({})), 0x10_0000n);
  assert.ok(isHvmContextValid(hvm32({ ds_ar: 0, es_ar: 0 })), 'null data segments');
  assert.ok(
    isHvmContextValid(hvm32({ cs_ar: 0xc9a, tr_ar: 0x89 })),
    "accessed and busy bits are Xen's to set",
  );
  for (const [what, change] of Object.entries(faults32)) assert.ok(!isHvmContextValid(hvm32(change)), what);
});

const faults64: Record<string, Partial<Registers64>> = {
  rip: { rip: notCanonical },
  'no paging': { cr0: 1n },
  'no PAE': { cr4: 0n },
  'no long mode': { efer: 0n },
  'unknown cr4 bits': { cr4: 0x2020n },
  'unknown efer bits': { efer: 0x102n },
};

test('an HVM state of 64 bits is refused for each thing that Xen checks', () => {
  assert.ok(isHvmContextValid(hvm64({})));
  assert.equal(hvmEntry(hvm64({})), 0x1000n);
  for (const [what, change] of Object.entries(faults64)) assert.ok(!isHvmContextValid(hvm64(change)), what);
  assert.ok(!isHvmContextValid({ ...hvm64({}), pad: 1 }));
  assert.ok(!isHvmContextValid({ ...hvm64({}), mode: 2 }));
});
