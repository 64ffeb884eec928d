/** Lines on which QEMU 7.2 (TCG) does not do as the manuals say, with their rule: AMD APM, volumes 2 and 3; Intel SDM where it says more. */

export interface Difference {
  /** The manual's rule. */
  readonly why: string;
  /** Whether these two lines differ for that reason. */
  explains(here: string, there: string): boolean;
}

/** A line's text, and what it must say here. */
function line(why: string, about: RegExp, here: RegExp, there = /^/): Difference {
  return {
    why,
    explains: (own, other) => about.test(own) && here.test(own) && about.test(other) && there.test(other),
  };
}

const errorCode = /#([A-Z]+)\(([0-9a-f]+)\)/;

/** Error codes that name a gate of the IDT: 8 times the vector. QEMU has 16 times. */
const gateCodes: Difference = {
  why: 'APM volume 2, 8.4.1: the index of an error code counts descriptors',
  explains: (here, there) => {
    const [own, other] = [errorCode.exec(here), errorCode.exec(there)];
    if (own === null || other === null || own[1] !== other[1]) return false;
    const [code, theirs] = [Number.parseInt(own[2] ?? '', 16), Number.parseInt(other[2] ?? '', 16)];
    const isSame = here.replace(errorCode, '') === there.replace(errorCode, '');
    return isSame && (code & 6) === 2 && theirs === (code >> 3) * 16 + 2;
  },
};

/** A page fault's error codes as the paging program prints them: hexadecimal numbers behind the names of accesses. */
const reservedCodes: Difference = {
  why: 'APM volume 2, 8.4.2: a translation with a reserved bit was present, so that bit 0 is set',
  explains: (here, there) => {
    const withoutPresent = here.replace(
      /(error=| r| w| x| ur| uw| ux)([0-9a-f]+)/g,
      (text, name: string, code: string) => {
        const value = Number.parseInt(code, 16);
        return (value & 8) === 0 ? text : name + (value & ~1).toString(16);
      },
    );
    return here.startsWith('reserved, ') && withoutPresent === there;
  },
};

const stackFault =
  'APM volume 2, 8.2.13: an address that is not canonical is #SS where it refers to the stack';
const target =
  'APM volume 3, near and far transfers: the instruction whose target is not canonical raises #GP';
const registersOfModel =
  'APM volume 2, 8.2.14: #GP for a register that is not there, or a value that it cannot have';
const limits = 'APM volume 2, 4.12: accesses beyond limits, or that the type of a segment forbids, raise #GP';
const external = 'SDM volume 3, 6.13: EXT is set where the first event was no INT n, INT3 or INTO';

export const differences: Readonly<Record<string, readonly Difference[]>> = {
  features: [
    line(
      'APM volume 3, WRFSBASE: an address that is not canonical raises #GP',
      /^bases, value: =800000000000 /,
      /fs=#d\.0 gs=#d\.0 /,
    ),
    line(
      'SDM volume 1, 13.8.1: XRSTOR raises #GP where it would load reserved bits of MXCSR',
      /^xsave, bad: offset=1[ab] /,
      /xmm0=#d\.0 x87 alone=3/,
      /xmm0=3 x87 alone=3/,
    ),
  ],
  exceptions: [
    gateCodes,
    line(
      'APM volume 2, 1.1.3: all bytes of an operand must be at canonical addresses',
      /^load that reaches into it:/,
      /: #GP\(0\)/,
    ),
    line(stackFault, /^(load by r|push|pop|call:|ret:)/, /: #SS\(0\)/, /: #GP\(0\)/),
    line(
      'SDM volume 2, CALL: a stack of the TSS that is not canonical is #SS of the call',
      /^call gate to a stack off/,
      /: #SS\(0\)/,
      /: #SS\(0\)/,
    ),
    line(
      target,
      /^(jump|call to|ret to|iret to an address|ljmp off|call gate off)/,
      /: #GP\(0\) rip=10/,
      /rip=(8000000|ffff7)/,
    ),
    line(
      'APM volume 2, 8.9: a gate whose offset is not canonical raises #GP of the instruction',
      /^offset that is not canonical:/,
      /: #GP\(0\) rip=10/,
    ),
    line(registersOfModel, /^(fs base|rdmsr|wrmsr|efer|cr0|cr8)/, /: #GP\(0\) rip=10/),
    line(
      'SDM volume 2, MOV: SS takes a null selector only with the RPL that CPL is',
      /^null ss with RPL 3/,
      /: #GP\(0\)/,
    ),
    line('APM volume 3, LTR: #GP for a null selector', /^ltr null/, /: #GP\(0\)/),
    line(
      'APM volume 2, 8.9.3: SS becomes null only where the privilege level changes',
      /^ist [12]:/,
      / ss=10 /,
      / ss=0 /,
    ),
    line('APM volume 3, INT1: #DB', /^(int1|#DB, then)/, /: #(DB|NP\(b\)|GP\(11\)|PF\(2\)|SS\(1\))/, /: #UD/),
    line(external, /^#(UD, then #GP|UD, then #NP)/, /: #(GP\(11\)|NP\(33\))/),
    line(external, /^(rsp0 that is not canonical|#UD, then #SS)/, /: #SS\(1\)/, /: #SS\(0\)/),
    line(
      `${stackFault}; #UD does not contribute to a double fault`,
      /^a stack that is not canonical/,
      /: #SS\(1\)/,
      /: #DF\(0\)/,
    ),
    line(
      'APM volume 3, IRET: #SS for a stack segment that is not present',
      /^iret to ss that is not present/,
      /: #SS\(/,
      /: #NP\(/,
    ),
    line('APM volume 2, 4.8.1: code with L and D is reserved', /^iret to code with L and D/, /: #GP\(60\)/),
    line(
      'APM volume 3, SYSCALL: the flags that the mask has not stay',
      /^syscall with flags/,
      /=8d700000cd7$/,
    ),
    line('APM volume 2, 3.1.1 and 13.1.1: bits that read as 0', /^dr[67]: all/, /=ffff(efff|0700)$/),
    line(
      'APM volume 2, 8.2.7 and 8.2.8: MMX instructions look at EM and TS',
      /, emms:/,
      /: #(NM|UD)/,
      /: rax/,
    ),
    line('APM volume 2, 8.2.7: EM is looked at before TS', /^EM and TS, (sse|mmx)/, /: #UD/, /: #NM/),
    line('APM volume 2, 3.1.3: XMM registers need CR4.OSFXSR', /^no OSFXSR, mmx and xmm/, /: #UD/, /: #UD/),
    line(
      'APM volume 2, 8.2.17: an x87 exception that is pending comes before the next instruction of x87 or MMX',
      /^mmx, x87 not masked/,
      /: #MF/,
      /: #PF/,
    ),
    line('APM volume 3, LDMXCSR: #GP for reserved bits', /^ldmxcsr: reserved/, /: #GP\(0\)/),
    line('APM volume 2, 8.2.19: #XM, or #UD without OSXMMEXCPT', /^division by zero/, /: #(XM|UD)/, /: rax/),
    line('APM volume 3, SYSENTER: #UD in long mode', /^sysenter/, /: #UD/),
    line(
      limits,
      /^(behind a segment|store to (a read|code)|below a segment|null segment)/,
      /: #GP\(0\)/,
      /: rax/,
    ),
  ],
  paging: [
    reservedCodes,
    line(
      'APM volume 2, 8.4.2: an access that also writes is a write',
      /(locked|compare|cmpxchg8b)/,
      /(2|#PF\(2\))/,
      /(0|#PF\(0\))/,
    ),
    line(
      'APM volume 2, 5.4.2: whether a translation that is refused becomes accessed is not said',
      /^marks, /,
      / marks=1+0$/,
      / marks=1+$/,
    ),
    line(
      'SDM volume 1, 4.9: FXSAVE that faults writes nothing here',
      /^across, .*: fxsave error=/,
      /first=44b8000000000000/,
    ),
    line(
      'APM volume 3, ENTER: the write at the last stack pointer must not fault',
      /^order, enter over/,
      /#PF\(2\)/,
      /rax=/,
    ),
  ],
  local_apic: [
    line(
      'APM volume 2, 16.4 and 16.7.1: an APIC that software has disabled keeps its local vectors masked, and accepts no vector',
      /^disabled by software/,
      /requested=0 count=0/,
      /requested=1 count=1/,
    ),
    line(
      'APM volume 2, 16.4.6: an IPI with a vector below 16 is an error of the sender',
      /^error:/,
      /sent=20$/,
      /sent=0$/,
    ),
  ],
  smp: [
    line(
      'Xen 4.17 arch/x86/hvm/hvm.c, hvm_vcpu_reset_state: CR0 has ET alone behind a SIPI',
      /^started:/,
      / cr0=10 /,
      / cr0=60000010 /,
    ),
  ],
  debug: [
    line('SDM volume 2, STI: only interrupts wait behind it', /^sti:/, /count=6 a b /, /count=5 b /),
    line(
      'APM volume 2, 13.1.1: a breakpoint of LEN bytes is met by accesses to them alone',
      /^data:/,
      / (d|14) dr6=/,
      / 1f dr6=/,
    ),
    line(
      'APM volume 2, 13.1.1: DR7.GD makes an access of debug registers #DB',
      /^guarded:/,
      /: #DB /,
      /: rax=7 /,
    ),
  ],
};
