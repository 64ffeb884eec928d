/** console_io(cmd, count, buffer): Xen's own console, which a release build of Xen keeps from a domU. */
import { __HYPERVISOR_console_io, CONSOLEIO_read, CONSOLEIO_write, XEN_EPERM } from '../../abi/index.js';
import { plainOperation } from '../hypercall.js';
import type { HypercallFamily, SubOperation } from '../hypercall.js';

function denied(name: string, command: number): SubOperation {
  return plainOperation({
    name,
    command,
    source: 'Xen 4.17 drivers/char/console.c, do_console_io; include/xsm/dummy.h, xsm_console_io',
    errors: [{ error: 'XEN_EPERM', when: 'the domain is without privilege: always, here' }],
    body: () => -XEN_EPERM,
  });
}

export const console_io: HypercallFamily = {
  name: 'console_io',
  number: __HYPERVISOR_console_io,
  argumentRegister: 2,
  operations: [denied('CONSOLEIO_write', CONSOLEIO_write), denied('CONSOLEIO_read', CONSOLEIO_read)],
  unknown: () => -XEN_EPERM,
};
