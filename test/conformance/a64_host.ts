/** The machine around the vCPU of a test: memory from address 0, no devices, and a hypervisor that stops the vCPU. */
import type { Arm64Host, Arm64Processor } from '../../src/engine/index.js';

/** `processor` is called while the vCPU runs: it is made with this host. */
export function stoppingHost(processor: () => Arm64Processor, ramBytes: number): Arm64Host {
  return {
    memory: {
      frame: (address) => (address < ramBytes ? processor().ramStart + address : -1),
      read: () => null,
      write: () => false,
    },
    registers: { read: () => 'undefined', write: () => 'undefined' },
    call: () => {
      processor().stop();
      return true;
    },
  };
}
