/** public/physdev.h: physical interrupts, as far as a guest without passed-through devices meets them. */
import { s32, struct, u32, u64, u8 } from '../struct.js';
import { domid_t, xen_pfn_t } from './types.js';

export const PHYSDEVOP_irq_status_query = 5;
export const PHYSDEVOP_set_iopl = 6;
export const PHYSDEVOP_set_iobitmap = 7;
export const PHYSDEVOP_apic_read = 8;
export const PHYSDEVOP_apic_write = 9;
export const PHYSDEVOP_alloc_irq_vector = 10;
export const PHYSDEVOP_free_irq_vector = 11;
export const PHYSDEVOP_eoi = 12;
export const PHYSDEVOP_map_pirq = 13;
export const PHYSDEVOP_unmap_pirq = 14;
export const PHYSDEVOP_manage_pci_add = 15;
export const PHYSDEVOP_manage_pci_remove = 16;
export const PHYSDEVOP_pirq_eoi_gmfn_v1 = 17;
export const PHYSDEVOP_restore_msi = 19;
export const PHYSDEVOP_manage_pci_add_ext = 20;
export const PHYSDEVOP_setup_gsi = 21;
export const PHYSDEVOP_get_free_pirq = 23;
export const PHYSDEVOP_pci_mmcfg_reserved = 24;
export const PHYSDEVOP_pci_device_add = 25;
export const PHYSDEVOP_pci_device_remove = 26;
export const PHYSDEVOP_restore_msi_ext = 27;
export const PHYSDEVOP_pirq_eoi_gmfn_v2 = 28;
export const PHYSDEVOP_dbgp_op = 29;
export const PHYSDEVOP_prepare_msix = 30;
export const PHYSDEVOP_release_msix = 31;

export const physdev_eoi = struct('physdev_eoi', { irq: u32 });

export const physdev_pirq_eoi_gmfn = struct('physdev_pirq_eoi_gmfn', { gmfn: xen_pfn_t });

/** Bits of physdev_irq_status_query's `flags`. */
export const XENIRQSTAT_needs_eoi = 1;
export const XENIRQSTAT_shared = 2;

export const physdev_irq_status_query = struct('physdev_irq_status_query', { irq: u32, flags: u32 });

export const physdev_set_iopl = struct('physdev_set_iopl', { iopl: u32 });

export const MAP_PIRQ_TYPE_MSI = 0;
export const MAP_PIRQ_TYPE_GSI = 1;
export const MAP_PIRQ_TYPE_UNKNOWN = 2;
export const MAP_PIRQ_TYPE_MSI_SEG = 3;
export const MAP_PIRQ_TYPE_MULTI_MSI = 4;

/** `pirq` negative: Xen is to choose, and writes its choice there. */
export const physdev_map_pirq = struct('physdev_map_pirq', {
  domid: domid_t,
  type: s32,
  index: s32,
  pirq: s32,
  bus: s32,
  devfn: s32,
  entry_nr: s32,
  table_base: u64,
});

export const physdev_unmap_pirq = struct('physdev_unmap_pirq', { domid: domid_t, pirq: s32 });

export const physdev_setup_gsi = struct('physdev_setup_gsi', { gsi: s32, triggering: u8, polarity: u8 });

export const physdev_get_free_pirq = struct('physdev_get_free_pirq', { type: s32, pirq: u32 });
