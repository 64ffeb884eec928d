/** Where the guest has what: its addresses, and what each CPU keeps for itself. */
import { evtchn_fifo_control_block, vcpu_info, vcpu_runstate_info } from '../abi/index.js';
import { alignUp } from '../base/index.js';

/** The most CPUs that it counts; the most vCPUs that Xen gives an arm64 guest. */
export const mostCpus = 128;

/**
 * The kernel's addresses are the physical ones from here on: the upper half of a space of 39 bits, of which 512 GiB are
 * mapped by blocks. A bit mask that instructions can hold, like its complement.
 */
export const kernelBase = '0xffffff8000000000';
export const physicalMask = '0x7fffffffff';

/**
 * The exception vectors lie at this offset in all of Linux' images from 5.10 to 7.2, and so do ours: who reads a kernel's
 * records from outside finds its start by them.
 */
export const vectorsOffset = 0x10800;

/** Each CPU's own area: a page of what it keeps, and its stack above. */
export const areaBytes = 0x4000;

interface Field {
  readonly bytes: number;
  /** Xen wants some at a multiple of more than their size. */
  readonly align?: number;
}

/** What each CPU keeps, in its area's first page. */
const fields = {
  /** Its number, and its affinity in MPIDR_EL1. */
  cpu: { bytes: 8 },
  mpidr: { bytes: 8 },
  /** Whether it takes part: set by itself when it is ready, cleared when it goes off. */
  online: { bytes: 8 },
  /** The exported record: which vCPU it is. */
  xenVcpuId: { bytes: 4 },
  /** The event channel by which others call it. */
  port: { bytes: 4 },
  /** How often others have answered it, how often it has answered others. */
  acks: { bytes: 8 },
  answers: { bytes: 8 },
  /** How often others were to call it by now. */
  expected: { bytes: 8 },
  /** Upcalls and timer interrupts taken. */
  upcalls: { bytes: 8 },
  ticks: { bytes: 8 },
  /** Who has called it and waits for an answer: a bit for each CPU. */
  mail: { bytes: 16 },
  /** Whether it does random things: data aborts are passed over and counted then, and events left alone. */
  passesFaults: { bytes: 8 },
  faults: { bytes: 8 },
  /** State of its random numbers. */
  random: { bytes: 8 },
  /** How many random things it has done. */
  fuzzed: { bytes: 8 },
  /** Its redistributor's address. */
  redistributor: { bytes: 8 },
  /** Arguments of hypercalls. */
  argument: { bytes: 128 },
  runstate: { bytes: vcpu_runstate_info.size },
  /** Must not cross a page, and lie at a multiple of its alignment. */
  vcpuInfo: { bytes: vcpu_info.arm64.size, align: 64 },
  control: { bytes: evtchn_fifo_control_block.size, align: 64 },
  /** The first event of each FIFO queue that is yet to be handled. */
  fifoHeads: { bytes: 64 },
  /** The ports that are bound to it: those among the 2-level ABI's pending bits that are its affair. */
  ports: { bytes: 512, align: 64 },
} as const satisfies Record<string, Field>;

function layOut(): Record<keyof typeof fields, number> {
  let end = 0;
  const entries = Object.entries<Field>(fields).map(([name, { bytes, align = Math.min(bytes, 8) }]) => {
    const at = alignUp(end, align);
    end = at + bytes;
    return [name, at];
  });
  return Object.fromEntries(entries) as Record<keyof typeof fields, number>;
}

/** Offsets in a CPU's area. */
export const own = layOut();

/** The bytes of an area that must be zero when its CPU starts. */
export const clearedBytes = 4096;
