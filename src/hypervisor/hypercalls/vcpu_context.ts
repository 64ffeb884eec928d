/**
 * The register states for VCPUOP_initialise, and Xen's checks of them. Each check returns whether the
 * state is acceptable; otherwise Xen always answers -XEN_EINVAL.
 */
import { vcpu_guest_context, VCPU_HVM_MODE_32B, VCPU_HVM_MODE_64B } from '../../abi/index.js';
import { VGCF_in_kernel } from '../../abi/index.js';
import type { ValueOf } from '../../abi/index.js';
import { hasBit, s64 } from '../../base/index.js';
import type { Domain, HvmContext, VcpuState } from '../domain.js';
import { isPvAddress } from '../guest_area.js';
import { mfnOfGfn } from '../physmap.js';
import { isAssist } from './vm_assist.js';

export const pvContext = vcpu_guest_context.x86_64;
export type PvContext = ValueOf<typeof pvContext>;
type HvmRegisters32 = NonNullable<HvmContext['cpu_regs']['x86_32']>;
type HvmRegisters64 = NonNullable<HvmContext['cpu_regs']['x86_64']>;

/** Whether bits 63 to 47 are equal. */
function isCanonical(address: bigint): boolean {
  return s64(address) >> 47n === 0n || s64(address) >> 47n === -1n;
}

const maxLdtEntries = 8192n;
const maxGdtEntries = 7168;
const gdtEntriesPerFrame = 512n;

/**
 * Whether a PV vCPU may start in this state (Xen 4.17 and 4.18 arch/x86/domain.c, arch_set_info_guest). Page
 * tables and descriptor tables must lie in the domain's memory; their contents are not looked at here.
 */
export function isPvContextValid(domain: Domain, vcpu: VcpuState, context: PvContext): boolean {
  return (
    areDebugRegistersValid(domain, context) &&
    areAddressesCanonical(context) &&
    isPvAddress(context.ldt_base) &&
    context.ldt_base % 4096n === 0n &&
    context.ldt_ents <= maxLdtEntries &&
    (vcpu.id !== 0 || areAssistsValid(domain, context.vm_assist)) &&
    hasUserTable(context) &&
    isGdtValid(domain, context) &&
    isFrame(domain, (context.ctrlreg[3] ?? 0n) >> 12n) &&
    (context.ctrlreg[1] === 0n || isFrame(domain, (context.ctrlreg[1] ?? 0n) >> 12n))
  );
}

/** Only 4.18: earlier releases drop excess bits. */
function areDebugRegistersValid({ state }: Domain, { debugreg }: PvContext): boolean {
  if (state.config.release === '4.17') return true;
  const small = [debugreg[6], debugreg[7]].every((value = 0n) => value < 1n << 32n);
  return small && debugreg.slice(0, 4).every(isPvAddress);
}

function areAddressesCanonical(context: PvContext): boolean {
  const addresses = [
    context.user_regs.rip,
    context.user_regs.rsp,
    context.kernel_sp,
    context.ldt_ents === 0n ? 0n : context.ldt_base,
    context.fs_base,
    context.gs_base_kernel,
    context.gs_base_user,
    context.event_callback_eip,
    context.syscall_callback_eip,
    context.failsafe_callback_eip,
    ...context.trap_ctxt.map(({ address }) => address),
  ];
  return addresses.every(isCanonical);
}

function areAssistsValid(domain: Domain, assists: bigint): boolean {
  return Array.from({ length: 64 }, (_, type) => type).every(
    (type) => ((assists >> BigInt(type)) & 1n) === 0n || isAssist(domain, type),
  );
}

/** A vCPU that starts in user mode needs a user page table. */
function hasUserTable({ flags, ctrlreg }: PvContext): boolean {
  return (flags & BigInt(VGCF_in_kernel)) !== 0n || ctrlreg[1] !== 0n;
}

/** Xen uses 32 bits of the count here, and its full width for the frames. */
function isGdtValid(domain: Domain, { gdt_ents, gdt_frames }: PvContext): boolean {
  if (BigInt.asUintN(32, (gdt_ents + gdtEntriesPerFrame - 1n) / gdtEntriesPerFrame) > 16n) return false;
  const entries = Number(BigInt.asUintN(32, gdt_ents));
  if (entries > maxGdtEntries) return false;
  return gdt_frames.slice(0, Math.ceil(entries / 512)).every((frame) => isFrame(domain, frame));
}

function isFrame(domain: Domain, frame: bigint): boolean {
  return mfnOfGfn(domain, Number(frame)) !== null;
}

const CR0_PG = 0x8000_0000n;
const CR4_PAE = 0x20n;
const EFER_LME = 0x100n;
const EFER_LMA = 0x400n;
/** SCE, LME, LMA and NXE: what a guest without nested virtualisation and without AMD's FFXSR may set. */
const validEfer = 0xd01n;
/**
 * CR4 as Xen offers it to a guest whose CPUID has everything up to protection keys, CET apart, and neither nested
 * virtualisation nor SMX or five-level paging: VME to UMIP, FSGSBASE, PCIDE, OSXSAVE, SMEP, SMAP, PKE.
 */
const validCr4 = 0x77_0fffn;

/** Whether an HVM vCPU may start in this state (Xen 4.17 arch/x86/hvm/domain.c, arch_set_info_hvm_guest). */
export function isHvmContextValid({ pad, mode, cpu_regs }: HvmContext): boolean {
  if (pad !== 0) return false;
  if (mode === VCPU_HVM_MODE_32B) return cpu_regs.x86_32 !== undefined && isValid32(cpu_regs.x86_32);
  return mode === VCPU_HVM_MODE_64B && cpu_regs.x86_64 !== undefined && isValid64(cpu_regs.x86_64);
}

/** The instruction pointer of a valid state. */
export function hvmEntry({ mode, cpu_regs }: HvmContext): bigint {
  return mode === VCPU_HVM_MODE_32B ? BigInt(cpu_regs.x86_32?.eip ?? 0) : (cpu_regs.x86_64?.rip ?? 0n);
}

function isValid64({ rip, cr0, cr4, efer }: HvmRegisters64): boolean {
  const inLongMode = (cr0 & CR0_PG) !== 0n && (cr4 & CR4_PAE) !== 0n && (efer & EFER_LME) !== 0n;
  return isCanonical(rip) && inLongMode && areControlsValid(cr4, efer);
}

function areControlsValid(cr4: bigint, efer: bigint): boolean {
  return (cr4 & ~validCr4) === 0n && (efer & ~validEfer) === 0n;
}

function isValid32(registers: HvmRegisters32): boolean {
  const { eip, cr4, efer, cs_limit, pad1, pad2 } = registers;
  if (pad1 !== 0 || pad2.some((value) => value !== 0)) return false;
  const cs = segment(registers.cs_ar, 1);
  const data = [registers.ds_ar, registers.es_ar].map((attributes) => segment(attributes, 1));
  const ss = segment(registers.ss_ar, 1);
  const tr = segment(registers.tr_ar, 2);
  if (!isCode(cs) || !data.every(isData) || !isStack(ss) || !isTask(tr)) return false;
  const limit = cs.pages ? cs_limit * 4096 + 0xfff : cs_limit;
  if (eip > limit || ss.privilege !== cs.privilege) return false;
  if (data.some(({ there, privilege }) => there && privilege > cs.privilege)) return false;
  return ((efer & EFER_LMA) === 0n || (efer & EFER_LME) !== 0n) && areControlsValid(BigInt(cr4), efer);
}

/** A segment's attributes, in the form of the public header: a descriptor's bits 47:40, then 55:52. */
interface Segment {
  readonly attributes: number;
  readonly type: number;
  readonly isSystem: boolean;
  readonly privilege: number;
  readonly there: boolean;
  /** The limit counts pages of 4 KiB. */
  readonly pages: boolean;
  /** Bits 15:12, which must be zero. */
  readonly spare: number;
}

/** Xen sets the accessed bit (1) or the busy bit (2) of a segment that is present, before it checks. */
function segment(attributes: number, whenPresent: number): Segment {
  const there = hasBit(attributes, 7);
  return {
    attributes,
    type: (attributes & 0xf) | (there ? whenPresent : 0),
    isSystem: !hasBit(attributes, 4),
    privilege: (attributes >>> 5) & 3,
    there,
    pages: hasBit(attributes, 11),
    spare: attributes >>> 12,
  };
}

const codeType = 0x8;
/** For a data segment: writable; for a code segment: readable. */
const accessType = 0x2;
const busyTask = 11;

function isUsable({ spare, isSystem, there }: Segment): boolean {
  return spare === 0 && !isSystem && there;
}

function isCode(cs: Segment): boolean {
  return isUsable(cs) && (cs.type & codeType) !== 0;
}

function isStack(ss: Segment): boolean {
  return isUsable(ss) && (ss.type & codeType) === 0 && (ss.type & accessType) !== 0;
}

/** Null attributes are allowed; code segments only if they are readable. */
function isData(data: Segment): boolean {
  if (data.attributes === 0) return true;
  return isUsable(data) && ((data.type & codeType) === 0 || (data.type & accessType) !== 0);
}

function isTask({ spare, isSystem, there, type }: Segment): boolean {
  return spare === 0 && isSystem && type === busyTask && there;
}
