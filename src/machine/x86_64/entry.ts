/** The states in which a vCPU enters the guest: as libxl builds a PVH guest, and as Xen leaves a vCPU for a SIPI. */
import type { Segment, SystemState, X86VcpuView } from '../../engine/x86_64/index.js';
import { registerNumber } from '../../isa/x86_64/index.js';

/** The order of segment registers in a vCPU's state: ES, CS, SS, DS, FS and GS. */
type Segments = SystemState['segments'];

const unusable: Segment = { selector: 0, base: 0n, limit: 0, attributes: 0 };
const noTable = { base: 0n, limit: 0 } as const;
/** CR0.PE and CR0.ET. */
const protectedMode = 0x11;
const realMode = 0x10;

/**
 * Enters a PVH kernel: 32-bit protected mode with flat segments whose selectors are 0, without paging, and EBX with the address
 * of start_info (docs/misc/pvh.pandoc; as observed before the first instruction of the reference guest).
 */
export function enterPvh(view: X86VcpuView, entry: bigint, startInfo: bigint): void {
  const flat = (attributes: number): Segment => ({ selector: 0, base: 0n, limit: 0xffff_ffff, attributes });
  const [code, data] = [flat(0xc9b), flat(0xc93)];
  const segments: Segments = [data, code, data, data, unusable, unusable];
  view.reset();
  view.setSystem({
    cr0: protectedMode,
    segments,
    task: { selector: 0, base: 0n, limit: 0x67, attributes: 0x8b },
    localTable: unusable,
    globalTable: noTable,
    interruptTable: noTable,
  });
  view.setRegister(registerNumber('rbx'), startInfo);
  view.pc = entry;
}

/** Enters at a SIPI's page in real mode (Xen 4.17 arch/x86/hvm/hvm.c, hvm_vcpu_reset_state). */
export function enterAtStartup(view: X86VcpuView, address: bigint): void {
  const segment = (base: bigint, attributes: number): Segment => ({
    selector: Number(base >> 4n),
    base,
    limit: 0xffff,
    attributes,
  });
  const data = segment(0n, 0x93);
  view.reset();
  view.setSystem({
    cr0: realMode,
    segments: [data, segment(address, 0x9b), data, data, data, data],
    task: segment(0n, 0x8b),
    localTable: segment(0n, 0x82),
  });
  view.setRegister(registerNumber('rdx'), 0xf00n);
  view.pc = 0n;
}
