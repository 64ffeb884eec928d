/**
 * An export table in the format of Linux's arm64 images (include/linux/export-internal.h: three 32-bit offsets, each
 * relative to its own address: value, name, namespace), so that the readers of Linux's records can read these.
 */
import { own } from './layout.js';

const exported = [
  { name: 'xen_vcpu_id', value: `area_template + ${own.xenVcpuId}` },
  { name: '__per_cpu_offset', value: 'per_cpu_offset' },
  { name: '__cpu_online_mask', value: 'online_mask' },
] as const;

export const exportTable = `
    .balign 4
${exported.map(({ name, value }) => `    .word   ${value} - ., export_${name} - ., no_namespace - .`).join('\n')}
no_namespace:
    .byte   0
${exported.map(({ name }) => `export_${name}:\n    .asciz  "${name}"`).join('\n')}
    .balign 4`;
