/** What x86-64 instructions call the host for. The host checks privileges and raises the exceptions that the manual lists. */
import { commonSystemCalls } from '../system_calls.js';

export const x86SystemCalls = [
  ...commonSystemCalls,
  /**
   * (access, effective address) -> linear address, with the checks of segmentation. `access` is the segment's number, plus
   * 8 for a write, plus 16 times the number of bytes (0 where nothing is accessed).
   */
  'linearAddress',
  /** #GP, for an operand of 16 bytes that is not aligned. */
  'misalignedOperand',
  /** #GP, for a near branch to an address that is not canonical. */
  'noncanonicalTarget',
  /**
   * Before and behind the floating-point operations of an SSE instruction while MXCSR does not mask all exceptions. The second raises
   * #XM if they raised one that is not masked.
   */
  'beginUnmaskedFloat',
  'endUnmaskedFloat',
  /** #DE. */
  'divideError',
  /** (1 if signed, divisor): divides RDX:RAX by 64 bits. */
  'divideWide',
  /** (vector): INT n. */
  'interrupt',
  /** INT3, INT1 and INTO, if OF is set. */
  'breakpoint',
  'debugTrap',
  'overflowTrap',
  /** #BR. */
  'boundRange',
  /** (operand size). */
  'interruptReturn',
  /** (operand size, bytes to release). */
  'farReturn',
  /** (selector + 2^16 * operand size, offset). */
  'farCall',
  'farJump',
  /** (segment's number, or that plus 8 where a load of SS holds nothing back, selector). */
  'loadSegment',
  /** (number of the register) -> value; (number, value). */
  'readControl',
  'writeControl',
  'readDebug',
  'writeDebug',
  /** (limit, base); -> limit and -> base. */
  'loadGlobalTable',
  'loadInterruptTable',
  'globalTableLimit',
  'globalTableBase',
  'interruptTableLimit',
  'interruptTableBase',
  /** (selector); -> selector. */
  'loadLocalTable',
  'loadTask',
  'localTableSelector',
  'taskSelector',
  /** (selector) -> access rights or limit, as LAR and LSL give them; -1 if there is none. */
  'accessRights',
  'segmentLimit',
  /** (selector) -> 1 if its segment may be read or written. */
  'canRead',
  'canWrite',
  /** -> CR0, for SMSW; (value): LMSW. */
  'machineStatus',
  'loadMachineStatus',
  'clearTaskSwitched',
  /** The leaf and subleaf in EAX and ECX. */
  'cpuid',
  /** The number in ECX, the value in EDX:EAX. */
  'readModelSpecific',
  'writeModelSpecific',
  /** -> value. */
  'readTimestamp',
  'readTimestampAux',
  'readPerformanceCounter',
  'syscall',
  /** (operand size). */
  'sysret',
  'sysenter',
  'sysexit',
  'swapGs',
  /** (linear address). */
  'invalidatePage',
  'invalidateCaches',
  /** INVPCID: (kind, context) and (kind, address). */
  'requireInvalidation',
  'invalidateContext',
  /** RDFSBASE and the like: (segment's number) -> base; (segment's number, base). */
  'readSegmentBase',
  'writeSegmentBase',
  /** STAC and CLAC. */
  'openUserPages',
  'closeUserPages',
  'halt',
  'pause',
  /** #GP unless CPL is 0: for instructions that access memory before the call that does their work. */
  'requireKernel',
  /** (port, bytes): #GP unless the port may be used. */
  'requirePort',
  /** (port, bytes) -> value. */
  'in',
  /** (port + 2^16 * bytes, value). */
  'out',
  'clearInterrupt',
  'setInterrupt',
  /** (operand size, value): POPF, but for the arithmetic flags. */
  'writeFlags',
  /** VMCALL and VMMCALL. */
  'hypervisorCall',
  'hypervisorCallAmd',
  /** (level, bytes): ENTER with a nesting level. */
  'enterNested',
  /** (operand size): PUSHA and POPA. */
  'pushAll',
  'popAll',
  /** (operand size, linear address): FXSAVE and FXRSTOR. */
  'saveFloat',
  'restoreFloat',
  /** XSAVE and the like: #UD without CR4.OSXSAVE, #NM with CR0.TS; XGETBV; XSETBV. */
  'requireExtendedState',
  'readExtendedControl',
  'writeExtendedControl',
  /** (operand size, plus 256 for XSAVEOPT, linear address); (operand size, linear address). */
  'saveExtended',
  'restoreExtended',
  /** -> MXCSR; (value). */
  'readMxcsr',
  'writeMxcsr',
  /** MMX: (number) -> register; (number, value); what each instruction does to the tags and the top; EMMS. */
  'readMmx',
  'writeMmx',
  'enterMmx',
  'leaveMmx',
  /** (bits of a number of 32 bits) -> about its reciprocal, and that of its square root: RCPSS and RSQRTSS. */
  'approximateReciprocal',
  'approximateInverseRoot',
  /** Strings of SSE4.2: (low half, high half) of each; (immediate, lengths or -1) -> the bits that were found, flags and index. */
  'firstString',
  'secondString',
  'compareStrings',
  /** x87: FNINIT, FNCLEX, FWAIT; -> control word; (value); -> status word. */
  'initialiseX87',
  'clearX87Exceptions',
  'waitX87',
  'readX87Control',
  'writeX87Control',
  'readX87Status',
  /**
   * For an x87 instruction that does nothing else: takes note of it and its operand, as the first call of each instruction below does, but
   * for those of environments.
   */
  'noteX87',
  /**
   * Pushes of x87: (value, 64 bits signed); (mantissa, sign and exponent); (decimal digits, sign and more of them); (one of
   * x87Constants); (format, bits); (i) for ST(i).
   */
  'pushX87Integer',
  'pushX87Extended',
  'pushX87Decimal',
  'pushX87Constant',
  'pushX87',
  'pushX87Register',
  /** (condition, i): FCMOVcc. */
  'moveX87If',
  /** (i): FXCH, FST to a register, FFREE. */
  'exchangeX87',
  'storeX87',
  'freeX87',
  /** (-1 or 1): FDECSTP and FINCSTP. */
  'rotateX87',
  'popX87',
  /** (one of x87Changes). */
  'changeX87',
  /** (one of x87Functions). */
  'evaluateX87',
  /** (operation and flags, i) and (operation and 256 * format, bits): arithmetic. */
  'computeX87',
  'computeX87Memory',
  /** (flags, i) and (flags and 256 * format, bits): comparisons. The last answers with bits of RFLAGS. */
  'compareX87',
  'compareX87Memory',
  'compareX87Flags',
  /** (format, 1 to truncate an integer): converts ST(0), or ends the instruction; -> the bits to store; -> those of 80 above 64. */
  'convertX87',
  'convertedX87',
  'convertedX87High',
  /** (operand size, linear address): FNSTENV, FLDENV, FNSAVE and FRSTOR. */
  'storeX87Environment',
  'loadX87Environment',
  'saveX87',
  'restoreX87',
] as const;

export type X86SystemCall = (typeof x86SystemCalls)[number];
