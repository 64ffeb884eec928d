/**
 * devices: the devices of a guest, with memory-mapped or system registers: interrupt controller, timers, UART. Each is
 * a plain state and functions on it. None knows guest addresses, the CPU engine or Xen.
 */
export * from './generic_timer.js';
export * from './gic_v3/index.js';
export * from './local_apic/index.js';
export type { MmioBytes, MmioDevice } from './mmio.js';
export * from './pc/index.js';
export * from './sbsa_uart.js';
