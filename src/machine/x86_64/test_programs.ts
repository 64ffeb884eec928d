/** Parts of programs for the tests of the board: 64-bit code, as text. */

/** A hypercall with its number, and its arguments in RDI and RSI. */
export const call = (number: number, command: number, argument: number): string => `
  mov $${number}, %eax
  mov $${command}, %edi
  mov $0x${argument.toString(16)}, %esi
  vmmcall
`;
/** XENMEM_add_to_physmap: shared_info at guest frame 0x40. */
export const mapSharedInfo = `
  movw $0x7ff0, 0x6100
  movl $0x0, 0x6104
  movq $0x0, 0x6108
  movq $0x40, 0x6110
  ${call(12, 7, 0x6100)}
`;
/** EVTCHNOP_bind_ipi for vCPU 0; the port is left at 0x6124. */
export const bindIpi = `
  movl $0x0, 0x6120
  ${call(32, 7, 0x6120)}
`;
export const send = `
  mov 0x6124, %eax
  mov %eax, 0x6130
  ${call(32, 4, 0x6130)}
`;
/** Turns x2APIC mode and the local APIC on. */
export const enableApic = `
  mov $0x1b, %ecx
  rdmsr
  or $0x400, %eax
  wrmsr
  mov $0x80f, %ecx
  mov $0x1ff, %eax
  xor %edx, %edx
  wrmsr
`;
export const endOfInterrupt = `
  mov $0x80b, %ecx
  xor %eax, %eax
  xor %edx, %edx
  wrmsr
`;
export const writeMsr = (number: number, low: string, high: string): string => `
  mov $0x${number.toString(16)}, %ecx
  mov $${low}, %eax
  mov $${high}, %edx
  wrmsr
`;
/** vcpu_info of vCPU 0 in shared_info: evtchn_upcall_pending. */
export const upcallPending = '0x40000';
