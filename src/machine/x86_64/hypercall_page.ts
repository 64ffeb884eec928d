/**
 * The hypercall page, which Xen writes into the guest's memory when the guest writes its address to the MSR that CPUID leaf
 * 0x40000002 names (Xen 4.17 arch/x86/traps.c, guest_wrmsr_xen; arch/x86/hypercall.c, init_hypercall_page;
 * arch/x86/hvm/svm/svm.c, svm_init_hypercall_page).
 */
import { __HYPERVISOR_iret } from '../../abi/index.js';
import { frameBytes } from '../../base/index.js';

/** The MSR of a guest without Viridian extensions. */
export const hypercallPageRegister = 0x4000_0000;

/** Room for each call; what is behind its code is INT3. */
const callBytes = 32;
const breakpoint = 0xcc;

/** `mov $number, %eax; vmmcall; ret`, as on a host with AMD's CPUs. */
function callCode(number: number): readonly number[] {
  return [0xb8, number & 0xff, number >> 8, 0, 0, 0x0f, 0x01, 0xd9, 0xc3];
}

/** IRET is no hypercall of such a guest: `ud2`. */
const undefinedCode = [0x0f, 0x0b] as const;

/** The page's 4096 bytes. */
export function hypercallPage(): Uint8Array {
  const page = new Uint8Array(frameBytes).fill(breakpoint);
  for (let number = 0; number * callBytes < frameBytes; number += 1) {
    page.set(number === __HYPERVISOR_iret ? undefinedCode : callCode(number), number * callBytes);
  }
  return page;
}
