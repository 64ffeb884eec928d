/** Memory layout: addresses, and the per-CPU area. */
import {
  evtchn_fifo_control_block,
  GUEST_MAX_VCPUS,
  vcpu_info,
  vcpu_runstate_info,
} from '../../abi/index.js';
import { layOut } from '../fields.js';
import type { Field } from '../fields.js';

/** The maximum number of CPUs, which is Xen's limit of vCPUs for an arm64 guest. */
export const mostCpus = GUEST_MAX_VCPUS;

/**
 * The kernel's addresses are the physical addresses plus this base: the upper range of 39 bits, of which 512 GiB are
 * mapped by blocks. The base is a bit-mask immediate, and so is its complement.
 */
export const kernelBase = '0xffffff8000000000';
export const physicalMask = '0x7fffffffff';

/**
 * Offset of the exception vectors in all Linux images from 5.10 to 7.2, and here too: readers of a kernel's records
 * find the start of the kernel by them.
 */
export const vectorsOffset = 0x10800;

/** Size of each CPU's area: a page of data, and the stack above it. */
export const areaBytes = 0x4000;

/** The fields of the first page of a CPU's area. */
const fields = {
  /** The CPU number, and its affinity in MPIDR_EL1. */
  cpu: { bytes: 8 },
  mpidr: { bytes: 8 },
  /** Whether the CPU is online. The CPU sets it when it is ready and clears it when it goes offline. */
  online: { bytes: 8 },
  /** The exported record: the CPU's vCPU id. */
  xenVcpuId: { bytes: 4 },
  /** The event channel by which other CPUs call it. */
  port: { bytes: 4 },
  /** How often other CPUs have answered it, and how often it has answered other CPUs. */
  acks: { bytes: 8 },
  answers: { bytes: 8 },
  /** How often other CPUs should have called it by now. */
  expected: { bytes: 8 },
  /** Number of upcalls and timer interrupts taken. */
  upcalls: { bytes: 8 },
  ticks: { bytes: 8 },
  /** The CPUs that have called it and wait for an answer, one bit each. */
  mail: { bytes: 16 },
  /** Whether it is fuzzing: then data aborts are skipped and counted, and events are ignored. */
  passesFaults: { bytes: 8 },
  faults: { bytes: 8 },
  /** State of its PRNG. */
  random: { bytes: 8 },
  /** How many random things it has done. */
  fuzzed: { bytes: 8 },
  /** Address of its redistributor. */
  redistributor: { bytes: 8 },
  /** Argument block for hypercalls. */
  argument: { bytes: 128 },
  runstate: { bytes: vcpu_runstate_info.size },
  /** Must not cross a page, and must be aligned. */
  vcpuInfo: { bytes: vcpu_info.arm64.size, align: 64 },
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
