import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as abi from '../../abi/index.js';
import type { DomainConfig, GuestKind } from '../domain.js';
import { complaints, unreadable, unwritable } from '../test_check_order.js';
import { call, makeTestDomain, nowhere, peek, peekBytes, poke, scratch } from '../test_domain.js';
import { xen_version } from './xen_version.js';

function version(
  kind: GuestKind,
  command: number,
  address = 0n,
  overrides: Partial<DomainConfig> = {},
): number {
  return call(makeTestDomain(kind, 1, overrides), 0, abi.__HYPERVISOR_xen_version, command, address).returned;
}

test('XENVER_version is the release, and XENVER_pagesize the page size of a null argument (do_xen_version)', () => {
  assert.equal(version('pvh', abi.XENVER_version), 0x4_0011);
  assert.equal(version('arm', abi.XENVER_version, nowhere, { release: '4.18' }), 0x4_0012);
  assert.equal(version('pvh', abi.XENVER_pagesize), 4096);
  assert.equal(version('pvh', abi.XENVER_pagesize, scratch), -abi.XEN_EINVAL);
});

test('XENVER_get_features: errors, and their order as in do_xen_version', () => {
  const wrong = complaints({
    family: xen_version,
    op: 'XENVER_get_features',
    type: abi.xen_feature_info,
    good: () => ({ submap_idx: 0, submap: 0 }),
    faults: [
      unreadable,
      { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.submap_idx = 1) },
      unwritable,
    ],
  });
  assert.deepEqual(wrong, []);
});

function featureNames(kind: GuestKind, overrides: Partial<DomainConfig> = {}): string[] {
  const domain = makeTestDomain(kind, 1, overrides);
  poke(domain, abi.xen_feature_info, { submap_idx: 0, submap: 0 });
  call(domain, 0, abi.__HYPERVISOR_xen_version, abi.XENVER_get_features, scratch);
  const { submap } = peek(domain, abi.xen_feature_info);
  const bits = Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => ((submap >>> bit) & 1) === 1);
  return bits.map((bit) => abi.XENFEAT_names[bit]!.replace('XENFEAT_', ''));
}

test('the features of each kind of guest, as do_xen_version has them', () => {
  const translated = ['writable_page_tables', 'auto_translated_physmap'];
  const hvm = [...translated, 'hvm_callback_vector', 'hvm_safe_pvclock'];
  const vnode = 'memory_op_vnode_supported';
  assert.deepEqual(featureNames('pvhvm'), [...hvm, 'hvm_pirqs', vnode, 'not_direct_mapped']);
  assert.deepEqual(featureNames('pvh'), [...hvm, vnode, 'not_direct_mapped']);
  assert.deepEqual(featureNames('arm'), [...translated, vnode, 'ARM_SMCCC_supported', 'not_direct_mapped']);
  assert.deepEqual(featureNames('pv'), [
    ...['mmu_pt_update_preserve_ad', 'highmem_assist', 'gnttab_map_avail_bits', vnode, 'direct_mapped'],
  ]);
  const newer = featureNames('pvh', { release: '4.18' }).slice(-2);
  assert.deepEqual(newer, ['runstate_phys_area', 'vcpu_time_phys_area']);
  assert.deepEqual(featureNames('arm', { release: '4.18' }).at(-1), 'runstate_phys_area');
});

test('a PV guest with pae_extended_cr3 has page directories above 4 GiB', () => {
  const domain = makeTestDomain('pv', 1);
  domain.state.vmAssist[abi.VMASST_TYPE_pae_extended_cr3] = true;
  poke(domain, abi.xen_feature_info, { submap_idx: 0, submap: 0 });
  call(domain, 0, abi.__HYPERVISOR_xen_version, abi.XENVER_get_features, scratch);
  const { submap } = peek(domain, abi.xen_feature_info);
  assert.equal((submap >>> abi.XENFEAT_pae_pgdir_above_4gb) & 1, 1);
});

test('texts and structures are written whole, or EFAULT (do_xen_version)', () => {
  const sizes: [number, number, string][] = [
    [abi.XENVER_extraversion, 16, '.7'],
    [abi.XENVER_compile_info, 144, 'domulator'],
    [abi.XENVER_capabilities, 1024, 'xen-3.0-aarch64 xen-3.0-armv7l '],
    [abi.XENVER_changeset, 64, 'unavailable'],
    [abi.XENVER_commandline, 9, '<denied>'],
    [abi.XENVER_guest_handle, 16, ''],
  ];
  for (const [command, size, text] of sizes) {
    const domain = makeTestDomain('arm', 1);
    domain.memory.writable(Number(scratch >> 12n))!.fill(0xee);
    assert.equal(call(domain, 0, abi.__HYPERVISOR_xen_version, command, scratch).returned, 0);
    const bytes = peekBytes(domain, size + 1);
    assert.equal(String.fromCharCode(...bytes.subarray(0, text.length + 1)), `${text}\0`);
    assert.deepEqual([bytes[size - 1] === 0xee, bytes[size]], [false, 0xee]);
    assert.equal(version('arm', command, nowhere), -abi.XEN_EFAULT);
  }
});

test('XENVER_platform_parameters: 4.18 tells PV guests alone where Xen begins', () => {
  const start = (kind: GuestKind, release: '4.17' | '4.18'): bigint => {
    const domain = makeTestDomain(kind, 1, { release });
    call(domain, 0, abi.__HYPERVISOR_xen_version, abi.XENVER_platform_parameters, scratch);
    return peek(domain, abi.xen_platform_parameters).virt_start;
  };
  assert.equal(start('pvh', '4.17'), 0xffff_8000_0000_0000n);
  assert.equal(start('pvh', '4.18'), 0n);
  assert.equal(start('pv', '4.18'), 0xffff_8000_0000_0000n);
  assert.equal(start('arm', '4.17'), 0x20_0000n);
});

test('a guest without privilege is told no build id, and unknown commands are ENOSYS', () => {
  assert.equal(version('pvh', abi.XENVER_build_id), -abi.XEN_EPERM);
  assert.equal(version('pvh', 77), -abi.XEN_ENOSYS);
});
