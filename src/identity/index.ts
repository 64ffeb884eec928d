/**
 * identity: the five ids of a guest's CPU, how they are assigned (policies), where and when a kernel can learn
 * them (sources), how Linux numbers its CPUs (numbering), and the map from a Linux CPU to
 * the vCPU id in its hypercalls. The module reads firmware bytes and plain values. It makes no hypercall, knows
 * no domain, and judges no guest.
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
