/** vm_assist(cmd, type): switches that change how Xen treats the domain. */
import {
  __HYPERVISOR_vm_assist,
  VMASST_CMD_disable,
  VMASST_CMD_enable,
  VMASST_TYPE_4gb_segments,
  VMASST_TYPE_4gb_segments_notify,
  VMASST_TYPE_architectural_iopl,
  VMASST_TYPE_m2p_strict,
  VMASST_TYPE_pae_extended_cr3,
  VMASST_TYPE_runstate_update_flag,
  VMASST_TYPE_writable_pagetables,
  XEN_EINVAL,
  XEN_ENOSYS,
} from '../../abi/index.js';
import type { Domain } from '../domain.js';
import { plainOperation } from '../hypercall.js';
import type { HypercallContext, ErrorRow, HypercallFamily, SubOperation } from '../hypercall.js';

const everywhere: readonly number[] = [VMASST_TYPE_runstate_update_flag];
/** Most have no effect on a 64-bit guest, which may request them anyway. */
const onPv: readonly number[] = [
  ...everywhere,
  VMASST_TYPE_4gb_segments,
  VMASST_TYPE_4gb_segments_notify,
  VMASST_TYPE_writable_pagetables,
  VMASST_TYPE_pae_extended_cr3,
  VMASST_TYPE_architectural_iopl,
  VMASST_TYPE_m2p_strict,
];

/** Whether the domain may use that switch (arch/{x86,arm}/include/asm/domain.h, arch_vm_assist_valid_mask). */
export function isAssist({ state }: Domain, type: number): boolean {
  return (state.config.kind === 'pv' ? onPv : everywhere).includes(type);
}

const source = 'Xen 4.17 common/domain.c, do_vm_assist';
const badType: ErrorRow = {
  error: 'XEN_EINVAL',
  when: 'the type is not one that this kind of guest may use',
};

function switchAssist(
  value: boolean,
): (context: HypercallContext) => { returned: number; detail: { type: number } } {
  return ({ domain, args }) => {
    const type = Number(BigInt.asUintN(32, args[1] ?? 0n));
    if (!isAssist(domain, type)) return { returned: -XEN_EINVAL, detail: { type } };
    domain.state.vmAssist[type] = value;
    return { returned: 0, detail: { type } };
  };
}

const operations: readonly SubOperation[] = [
  plainOperation({
    name: 'VMASST_CMD_enable',
    command: VMASST_CMD_enable,
    source,
    errors: [badType],
    body: switchAssist(true),
  }),
  plainOperation({
    name: 'VMASST_CMD_disable',
    command: VMASST_CMD_disable,
    source,
    errors: [badType],
    body: switchAssist(false),
  }),
];

export const vm_assist: HypercallFamily = {
  name: 'vm_assist',
  number: __HYPERVISOR_vm_assist,
  argumentRegister: 1,
  operations,
  // The type is checked before the command.
  unknown: ({ domain, args }) =>
    isAssist(domain, Number(BigInt.asUintN(32, args[1] ?? 0n))) ? -XEN_ENOSYS : -XEN_EINVAL,
};
