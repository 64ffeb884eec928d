/**
 * abi: layouts and numbers of what a guest and Xen, ACPI or a device tree say to each other. Each is declared
 * once, with its source; what any of it means or does is for other rooms.
 */
export * from './struct.js';
