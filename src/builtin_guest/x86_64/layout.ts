/** Memory layout: addresses, and the per-CPU area. */
import { evtchn_fifo_control_block, vcpu_info, vcpu_runstate_info } from '../../abi/index.js';
import { layOut } from '../fields.js';
import type { Field } from '../fields.js';

/** The maximum number of CPUs, which is Xen's limit of vCPUs for a PVH guest (HVM_MAX_VCPUS, public/hvm/hvm_info_table.h). */
export const mostCpus = 128;

/** Guest physical address of the image's first byte. The source text is assembled for it. */
export const loadAt = 0x20_0000;
/** Offset in the image, behind its headers, of the instruction at which it is entered. */
export const entryOffset = 0x100;
/** Offset of the one at which a PVHVM guest enters it, in 64-bit mode. */
export const entry64Offset = 0x300;

/**
 * The kernel runs at its physical addresses plus this base, as Linux does (arch/x86/include/asm/page_64_types.h,
 * __START_KERNEL_map). The base is an immediate of 32 bits with sign.
 */
export const kernelBase = '0xffffffff80000000';
/** A physical address is the lower 31 bits of an address of the kernel. */
export const physicalMask = '0x7fffffff';
/** All physical addresses below 4 GiB are mapped from here on: the tables, and the pages of the daemons. */
export const directBase = '0xffff888000000000';

/** Size of each CPU's area: a page of data, and the stack above it. */
export const areaBytes = 0x4000;

/** Physical address of the page at which a SIPI starts a CPU, in the first MiB. */
export const trampolineAt = 0x8000;

/**
 * Pages that Xen may write to. They are mapped separately, and the pages after them are unmapped, so an access past
 * their end faults.
 */
export const scratch = { address: 0x28_0000, pages: 16 } as const;
/** The offsets in these pages. */
export const scratchMask = scratch.pages * 4096 - 1;

/** Selectors. SYSRET takes `code32` for its base: user data and user code come behind it (AMD APM, volume 2, 6.1.1). */
export const selector = {
  code: 8,
  data: 0x10,
  code32: 0x18,
  userData: 0x23,
  userCode: 0x2b,
  task: 0x30,
} as const;

/** Numbers of model-specific registers. */
export const msr = {
  apicBase: 0x1b,
  apicTaskPriority: 0x808,
  apicEndOfInterrupt: 0x80b,
  apicSpurious: 0x80f,
  apicCommand: 0x830,
  apicTimer: 0x832,
  apicTimerCount: 0x838,
  apicTimerDivide: 0x83e,
  efer: '0xc0000080',
  star: '0xc0000081',
  lstar: '0xc0000082',
  syscallMask: '0xc0000084',
  fsBase: '0xc0000100',
  gsBase: '0xc0000101',
  kernelGsBase: '0xc0000102',
} as const;

/** Vectors of interrupts: Linux's for events, and others for a call from another CPU and for the local APIC's timer. */
export const vector = { events: 0xf3, call: 0xf4, timer: 0xec, spurious: 0xff } as const;

/** The bytes of a line of text. A longer one is written in pieces. */
export const lineBytes = 256;

/** The fields of the first page of a CPU's area. */
const fields = {
  /** The CPU number, and its APIC id. */
  cpu: { bytes: 8 },
  apicId: { bytes: 8 },
  /** Whether the CPU is online. The CPU sets it when it is ready and clears it when it goes offline. */
  online: { bytes: 8 },
  /** The exported record: the CPU's vCPU id. */
  xenVcpuId: { bytes: 4 },
  /** The event channel by which other CPUs call it, and that of its timer. */
  port: { bytes: 4 },
  timerPort: { bytes: 8 },
  /** How often other CPUs have answered it, and how often it has answered other CPUs. */
  acks: { bytes: 8 },
  answers: { bytes: 8 },
  /** How often other CPUs should have called it by now. */
  expected: { bytes: 8 },
  /** Number of upcalls and timer events taken. */
  upcalls: { bytes: 8 },
  ticks: { bytes: 8 },
  /** The CPUs that have called it and wait for an answer, one bit each. */
  mail: { bytes: 16 },
  /** The system time in ns after which it waits no more. */
  deadline: { bytes: 8 },
  /** Whether it is fuzzing: then faults of its accesses are skipped and counted, and events are ignored. */
  passesFaults: { bytes: 8 },
  faults: { bytes: 8 },
  /** State of its PRNG. */
  random: { bytes: 8 },
  /** How many random things it has done. */
  fuzzed: { bytes: 8 },
  /** Its stack pointer while it is in user space. */
  kernelStack: { bytes: 8 },
  /** Argument blocks for hypercalls; the second is for those that print. */
  argument: { bytes: 128 },
  printArgument: { bytes: 8 },
  /** What it has printed of a line. */
  lineEnd: { bytes: 8 },
  line: { bytes: lineBytes, align: 8 },
  runstate: { bytes: vcpu_runstate_info.size },
  /** Must not cross a page, and must be aligned. */
  vcpuInfo: { bytes: vcpu_info.x86_64.size, align: 64 },
  control: { bytes: evtchn_fifo_control_block.size, align: 64 },
  /** The next event of each FIFO queue to handle. */
  fifoHeads: { bytes: 64 },
  /** The ports bound to this CPU. It handles only these among the pending bits of the two-level ABI. */
  ports: { bytes: 512, align: 64 },
} as const satisfies Record<string, Field>;

/** Offsets in a CPU's area. */
export const own = layOut(fields);

/** The bytes of an area that must be zero when its CPU starts. */
export const clearedBytes = 4096;
