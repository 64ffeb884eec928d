/** The domain that a call's domid names, and whether a guest may operate on it. */
import { XEN_EPERM, XEN_ESRCH } from '../../abi/index.js';
import type { Domain } from '../domain.js';
import { domainNamed } from '../event_channels/bind.js';
import type { ErrorRow } from '../hypercall.js';

/**
 * Xen's check of the domid in a domU's call: 0 for the domain itself, -XEN_ESRCH for none,
 * -XEN_EPERM for the toolstack's (Xen 4.17 include/xsm/dummy.h, XSM_TARGET).
 */
export function targetError(domain: Domain, domid: number): number {
  const named = domainNamed(domain, domid);
  if (named === null) return -XEN_ESRCH;
  return named === 'self' ? 0 : -XEN_EPERM;
}

export const targetErrors: readonly ErrorRow[] = [
  { error: 'XEN_ESRCH', when: 'no domain has that id' },
  { error: 'XEN_EPERM', when: 'the domain is another one' },
];
