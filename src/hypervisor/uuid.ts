/** A domain's UUID, which the toolstack chooses: Xen's "handle". */
import type { DomainConfig } from './domain.js';

const form = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Whether a text is a UUID in libxl's format. */
export function isUuid(text: string): boolean {
  return form.test(text);
}

/** The UUID in libxl's format. */
export function uuidText({ uuid, domid }: Pick<DomainConfig, 'uuid' | 'domid'>): string {
  return uuid ?? `00000000-0000-0000-0000-${domid.toString(16).padStart(12, '0')}`;
}

/** Its sixteen bytes, as XENVER_guest_handle gives them. */
export function uuidBytes(config: Pick<DomainConfig, 'uuid' | 'domid'>): Uint8Array {
  const digits = uuidText(config).replaceAll('-', '');
  return Uint8Array.from({ length: 16 }, (_, i) => parseInt(digits.slice(2 * i, 2 * i + 2), 16));
}
