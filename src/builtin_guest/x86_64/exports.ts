/** What the readers of Linux's records find in this kernel. */
import { exportTableOf } from '../text.js';
import { own } from './layout.js';

const exported = [
  { name: 'xen_vcpu_id', value: `area_template + ${own.xenVcpuId}` },
  { name: '__per_cpu_offset', value: 'per_cpu_offset' },
  { name: '__cpu_online_mask', value: 'online_mask' },
] as const;

export const exportTable = exportTableOf(exported);
