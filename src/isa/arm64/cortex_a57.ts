/**
 * The identification registers of a Cortex-A57 r1p0 (Arm DDI 0488H, 4.3), as a guest at EL1 without EL3 sees them.
 * Features that this CPU does not implement are removed, and 16 KiB pages are added
 * (docs/decisions/0010-what-the-cpu-advertises.md). Indexed by register name. Absent registers read 0, and so do those
 * for AArch32, which no exception level supports. The machine sets the interrupt controller field (ID_AA64PFR0_EL1.GIC)
 * and MPIDR_EL1.
 */
export const cortexA57: Readonly<Record<string, bigint>> = {
  MIDR_EL1: 0x411fd070n,
  REVIDR_EL1: 0n,
  AIDR_EL1: 0n,
  // EL2, EL1 and EL0 in AArch64 only; floating point and SIMD without half-precision arithmetic.
  ID_AA64PFR0_EL1: 0x00000111n,
  // The value that Xen passes on: 6 breakpoints, 4 watchpoints, and performance monitors whose registers exist but do
  // nothing.
  ID_AA64DFR0_EL1: 0x10305106n,
  // AES with PMULL, SHA1, SHA256, CRC32.
  ID_AA64ISAR0_EL1: 0x00011120n,
  // 44-bit physical addresses, 16-bit ASIDs, little-endian only, granules of 4, 16 and 64 KiB.
  ID_AA64MMFR0_EL1: 0x00101024n,
  // All cache lines have 64 bytes. The instruction cache is physically tagged.
  CTR_EL0: 0x8444c004n,
  // DC ZVA clears 64 bytes.
  DCZID_EL0: 4n,
  CLIDR_EL1: 0x0a200023n,
  SCTLR_EL1: 0x00c50838n,
};

/** CCSIDR_EL1 by CSSELR_EL1: level 1 data cache, level 1 instruction cache, level 2 cache of 2 MiB. */
export const cortexA57Caches: Readonly<Record<number, bigint>> = {
  0: 0x701fe00an,
  1: 0x201fe012n,
  2: 0x70ffe07an,
};
