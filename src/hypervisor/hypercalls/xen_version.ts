/** xen_version(cmd, arg): the Xen version, and what Xen offers to this kind of guest. */
import {
  __HYPERVISOR_xen_version,
  VMASST_TYPE_pae_extended_cr3,
  xen_capabilities_info_t,
  xen_changeset_info_t,
  xen_compile_info,
  XEN_EFAULT,
  XEN_EINVAL,
  XEN_ENOSYS,
  XEN_EPERM,
  xen_extraversion_t,
  xen_feature_info,
  xen_platform_parameters,
  XENFEAT_ARM_SMCCC_supported,
  XENFEAT_auto_translated_physmap,
  XENFEAT_direct_mapped,
  XENFEAT_gnttab_map_avail_bits,
  XENFEAT_highmem_assist,
  XENFEAT_hvm_callback_vector,
  XENFEAT_hvm_pirqs,
  XENFEAT_hvm_safe_pvclock,
  XENFEAT_memory_op_vnode_supported,
  XENFEAT_mmu_pt_update_preserve_ad,
  XENFEAT_not_direct_mapped,
  XENFEAT_pae_pgdir_above_4gb,
  XENFEAT_runstate_phys_area,
  XENFEAT_vcpu_time_phys_area,
  XENFEAT_writable_page_tables,
  XENVER_build_id,
  XENVER_capabilities,
  XENVER_changeset,
  XENVER_commandline,
  XENVER_compile_info,
  XENVER_extraversion,
  XENVER_get_features,
  XENVER_guest_handle,
  XENVER_pagesize,
  XENVER_platform_parameters,
  XENVER_version,
} from '../../abi/index.js';
import { frameBytes } from '../../base/index.js';
import { archOf } from '../arch.js';
import type { Domain } from '../domain.js';
import { operation, plainOperation } from '../hypercall.js';
import type { ErrorRow, HypercallFamily, SubOperation } from '../hypercall.js';
import { copyToGuest } from '../physmap.js';
import { uuidBytes } from '../uuid.js';
import { extraVersion, releaseNumber } from '../release.js';

const source = 'Xen 4.17 common/kernel.c, do_xen_version';
const unwritable: ErrorRow = { error: 'XEN_EFAULT', when: 'the answer cannot be written' };

/** The text in a field of that many bytes, truncated if needed so that it ends with a zero byte. */
function text(value: string, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < Math.min(value.length, size - 1); i += 1) bytes[i] = value.charCodeAt(i);
  return bytes;
}

/** An operation that writes bytes and answers 0. */
function giveBytes(name: string, command: number, bytes: (domain: Domain) => Uint8Array): SubOperation {
  return plainOperation({
    name,
    command,
    source,
    errors: [unwritable],
    body: ({ domain, cpu, caller }, address) =>
      copyToGuest(domain, cpu, caller.id, address, bytes(domain)) ? 0 : -XEN_EFAULT,
  });
}

const version = plainOperation({
  name: 'XENVER_version',
  command: XENVER_version,
  source,
  errors: [],
  body: ({ domain }) => releaseNumber(domain.state.config.release),
});

/** Constant build information, so that two runs give the same answers. */
const compileInfo = xen_compile_info.encode({
  compiler: text('domulator', 64),
  compile_by: text('domulator', 16),
  compile_domain: text('', 32),
  compile_date: text('', 32),
});

/** The kinds of guest that Xen can run (arch/{x86,arm}/setup.c, arch_get_xen_caps), each followed by a space. */
const capabilities = {
  x86_64: 'xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 ',
  arm64: 'xen-3.0-aarch64 xen-3.0-armv7l ',
} as const;

/** Where Xen's part of the address space begins: HYPERVISOR_VIRT_START; on Arm XEN_VIRT_START. */
const virtualStart = { x86_64: 0xffff_8000_0000_0000n, arm64: 0x0000_0000_0020_0000n } as const;

/** Not useful; 4.18 gives it only to PV guests, which might rely on it. */
function platformParameters(domain: Domain): Uint8Array {
  const { kind, release } = domain.state.config;
  const told = release === '4.17' || kind === 'pv';
  return xen_platform_parameters.encode({ virt_start: told ? virtualStart[archOf(domain)] : 0n });
}

/** The numbers of the features that the guest has, by kind and release. */
function features({ state }: Domain): number[] {
  const { kind, release } = state.config;
  const all = [XENFEAT_memory_op_vnode_supported];
  if (state.vmAssist[VMASST_TYPE_pae_extended_cr3] === true) all.push(XENFEAT_pae_pgdir_above_4gb);
  if (release !== '4.17') all.push(XENFEAT_runstate_phys_area);
  if (release !== '4.17' && kind !== 'arm') all.push(XENFEAT_vcpu_time_phys_area);
  return [...all, ...featuresOf[kind]];
}

const translated = [
  XENFEAT_writable_page_tables,
  XENFEAT_auto_translated_physmap,
  XENFEAT_not_direct_mapped,
] as const;
const hvm = [...translated, XENFEAT_hvm_safe_pvclock, XENFEAT_hvm_callback_vector] as const;

/**
 * Physical interrupts over event channels are available to PVHVM guests, unless the toolstack has disabled them
 * (`xen_pirqs`).
 */
const featuresOf = {
  pv: [
    XENFEAT_mmu_pt_update_preserve_ad,
    XENFEAT_highmem_assist,
    XENFEAT_gnttab_map_avail_bits,
    XENFEAT_direct_mapped,
  ],
  pvhvm: [...hvm, XENFEAT_hvm_pirqs],
  pvh: hvm,
  arm: [...translated, XENFEAT_ARM_SMCCC_supported],
} as const;

const getFeatures = operation({
  name: 'XENVER_get_features',
  command: XENVER_get_features,
  source,
  argument: xen_feature_info,
  copyBack: true,
  errors: [
    { error: 'XEN_EFAULT', when: 'the argument cannot be read' },
    { error: 'XEN_EINVAL', when: 'the submap is not 0' },
    unwritable,
  ],
  body: ({ domain }, argument) => {
    if (argument.submap_idx !== 0) return -XEN_EINVAL;
    argument.submap = features(domain).reduce((map, feature) => map + 2 ** feature, 0);
    return 0;
  },
});

const pageSize = plainOperation({
  name: 'XENVER_pagesize',
  command: XENVER_pagesize,
  source,
  errors: [{ error: 'XEN_EINVAL', when: 'the argument is not null' }],
  body: (_context, address) => (address === 0n ? frameBytes : -XEN_EINVAL),
});

/** What a guest without privilege reads in place of Xen's command line. */
const denied = text('<denied>', 9);

const buildId = plainOperation({
  name: 'XENVER_build_id',
  command: XENVER_build_id,
  source: `${source}; include/xsm/dummy.h, xsm_xen_version`,
  errors: [{ error: 'XEN_EPERM', when: 'the domain is unprivileged (here it always is)' }],
  body: () => -XEN_EPERM,
});

export const xen_version: HypercallFamily = {
  name: 'xen_version',
  number: __HYPERVISOR_xen_version,
  argumentRegister: 1,
  operations: [
    version,
    giveBytes('XENVER_extraversion', XENVER_extraversion, ({ state }) =>
      text(extraVersion[state.config.release], xen_extraversion_t.size),
    ),
    giveBytes('XENVER_compile_info', XENVER_compile_info, () => compileInfo),
    giveBytes('XENVER_capabilities', XENVER_capabilities, (domain) =>
      text(capabilities[archOf(domain)], xen_capabilities_info_t.size),
    ),
    giveBytes('XENVER_changeset', XENVER_changeset, () => text('unavailable', xen_changeset_info_t.size)),
    giveBytes('XENVER_platform_parameters', XENVER_platform_parameters, platformParameters),
    getFeatures,
    pageSize,
    giveBytes('XENVER_guest_handle', XENVER_guest_handle, ({ state }) => uuidBytes(state.config)),
    giveBytes('XENVER_commandline', XENVER_commandline, () => denied),
    buildId,
  ],
  unknown: () => -XEN_ENOSYS,
};
