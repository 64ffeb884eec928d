/**
 * identity: which CPU is which. The five ids of a guest's CPU, who hands them out (policies), who can know
 * them and from when on (sources), how Linux numbers its CPUs (numbering), and the map from a Linux CPU to
 * the vCPU id that hypercalls carry. It reads firmware bytes and plain values; it makes no hypercall, knows
 * no domain, and judges nobody.
 */
export * from './ids.js';
export * from './mpidr.js';
export * from './apic.js';
export * from './policies.js';
export * from './map.js';
export * from './sources.js';
export * from './firmware.js';
export * from './firmware_tree.js';
export * from './firmware_vcpus.js';
export * from './linux_versions.js';
export * from './numbering.js';
