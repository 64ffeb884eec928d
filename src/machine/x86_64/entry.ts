/**
 * The states in which a vCPU enters the guest: as libxl builds a PVH guest, by Linux's 64-bit boot protocol, as Xen leaves a vCPU
 * for a SIPI, and as VCPUOP_initialise says.
 */
import { VCPU_HVM_MODE_32B } from '../../abi/index.js';
import { cr0, efer } from '../../engine/x86_64/index.js';
import type { Segment, SystemState, X86VcpuView } from '../../engine/x86_64/index.js';
import type { HvmContext } from '../../hypervisor/index.js';
import { registerNames, registerNumber } from '../../isa/x86_64/index.js';
import type { RegisterName } from '../../isa/x86_64/index.js';
import type { LongModeEntry } from '../board.js';

/** The order of segment registers in a vCPU's state: ES, CS, SS, DS, FS and GS. */
type Segments = SystemState['segments'];

const unusable: Segment = { selector: 0, base: 0n, limit: 0, attributes: 0 };
const noTable = { base: 0n, limit: 0 } as const;
/** CR0.PE and CR0.ET. */
const protectedMode = 0x11;
const realMode = 0x10;
/** CR4.PAE. */
const physicalAddressExtension = 0x20;

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

/**
 * Enters a kernel by its 64-bit boot protocol: paging is on, interrupts are off, CS is selector 0x10 and the data segments are 0x18,
 * and RSI has the address of the boot parameters (Linux, Documentation/arch/x86/boot.rst).
 */
export function enterLongMode(
  view: X86VcpuView,
  entry: bigint,
  bootParameters: bigint,
  { pageTable, descriptorTable }: LongModeEntry,
): void {
  const flat = (selector: number, attributes: number): Segment => ({
    selector,
    base: 0n,
    limit: 0xffff_ffff,
    attributes,
  });
  const data = flat(0x18, 0xc93);
  view.reset();
  view.setSystem({
    cr0: protectedMode | cr0.paging,
    cr3: pageTable,
    cr4: physicalAddressExtension,
    efer: efer.longEnable | efer.longActive,
    segments: [data, flat(0x10, 0xa9b), data, data, unusable, unusable],
    task: { selector: 0, base: 0n, limit: 0x67, attributes: 0x8b },
    localTable: unusable,
    globalTable: descriptorTable,
    interruptTable: noTable,
  });
  view.setRegister(registerNumber('rsi'), bootParameters);
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

type Registers32 = NonNullable<HvmContext['cpu_regs']['x86_32']>;
type Registers64 = NonNullable<HvmContext['cpu_regs']['x86_64']>;
/** Control registers that a context gives. */
type Controls = Record<'cr0' | 'cr3' | 'cr4' | 'efer', bigint>;

function setControls(view: X86VcpuView, controls: Controls, segments: Segments, task: Segment): void {
  const isPaging = (Number(controls.cr0 & 0xffff_ffffn) & cr0.paging) !== 0;
  const features = Number(controls.efer) & efer.writable & ~efer.longActive;
  view.setSystem({
    cr0: (Number(controls.cr0 & 0xffff_ffffn) & cr0.writable) | cr0.extension,
    cr3: controls.cr3,
    cr4: Number(controls.cr4) & view.writableCr4,
    efer: features | (isPaging && (features & efer.longEnable) !== 0 ? efer.longActive : 0),
    segments,
    task,
    localTable: unusable,
    globalTable: noTable,
    interruptTable: noTable,
  });
}

/** The limit as bytes: a granular segment's counts pages. */
function segmentOf(base: number, limit: number, attributes: number): Segment {
  const bytes = (attributes & 0x800) === 0 ? limit : ((limit << 12) | 0xfff) >>> 0;
  return { selector: 0, base: BigInt(base), limit: bytes, attributes };
}

function enter32(view: X86VcpuView, registers: Registers32): void {
  const { cs_base, ds_base, ss_base, es_base, tr_base } = registers;
  const data = segmentOf(ds_base, registers.ds_limit, registers.ds_ar);
  const segments = [
    segmentOf(es_base, registers.es_limit, registers.es_ar),
    segmentOf(cs_base, registers.cs_limit, registers.cs_ar),
    segmentOf(ss_base, registers.ss_limit, registers.ss_ar),
    data,
    unusable,
    unusable,
  ];
  const controls = { cr0: BigInt(registers.cr0), cr3: BigInt(registers.cr3), cr4: BigInt(registers.cr4) };
  const task = segmentOf(tr_base, registers.tr_limit, registers.tr_ar);
  setControls(view, { ...controls, efer: registers.efer }, segments, task);
  const { eax, ecx, edx, ebx, esp, ebp, esi, edi } = registers;
  const values = { rax: eax, rcx: ecx, rdx: edx, rbx: ebx, rsp: esp, rbp: ebp, rsi: esi, rdi: edi };
  for (const [name, value] of Object.entries(values)) {
    view.setRegister(registerNumber(name as RegisterName), BigInt(value));
  }
  view.rflags = registers.eflags;
  view.pc = BigInt(registers.eip);
}

function enter64(view: X86VcpuView, registers: Registers64): void {
  const flat = (attributes: number): Segment => ({ selector: 0, base: 0n, limit: 0xffff_ffff, attributes });
  const data = flat(0xc93);
  const task = { selector: 0, base: 0n, limit: 0x67, attributes: 0x8b };
  setControls(view, registers, [data, flat(0xa9b), data, data, unusable, unusable], task);
  for (const [name, value] of Object.entries(registers)) {
    const number = registerNames.findIndex((register) => register === name);
    if (number >= 0) view.setRegister(number, value);
  }
  view.rflags = Number(registers.rflags & 0xffff_ffffn);
  view.pc = registers.rip;
}

/** Enters as VCPUOP_initialise said (Xen 4.17 arch/x86/hvm/domain.c, arch_set_info_hvm_guest). */
export function enterInitialised(view: X86VcpuView, { mode, cpu_regs }: HvmContext): void {
  view.reset();
  if (mode === VCPU_HVM_MODE_32B && cpu_regs.x86_32 !== undefined) enter32(view, cpu_regs.x86_32);
  else if (cpu_regs.x86_64 !== undefined) enter64(view, cpu_regs.x86_64);
}
