/**
 * devices: what a guest reaches through memory-mapped or system registers: interrupt controller, timers, UART. Each
 * is plain state and functions over it; none knows a guest address, a CPU engine or Xen.
 */
export * from './generic_timer.js';
export * from './gic_v3/index.js';
export type { MmioBytes, MmioDevice } from './mmio.js';
export * from './sbsa_uart.js';
