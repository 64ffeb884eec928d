/**
 * What a Cortex-A57 r1p0 says of itself in its identification registers (Arm DDI 0488H, 4.3), as a guest at EL1 sees it
 * that has no EL3 below it, less what this CPU does not do and with pages of 16 KiB (docs/decisions/0010-what-the-cpu-advertises.md). By
 * register name; what is absent reads 0, and so do the identification registers of AArch32, which no level has. The interrupt
 * controller's field (ID_AA64PFR0_EL1.GIC) and MPIDR_EL1 are the machine's to say.
 */
export const cortexA57: Readonly<Record<string, bigint>> = {
  MIDR_EL1: 0x411fd070n,
  REVIDR_EL1: 0n,
  AIDR_EL1: 0n,
  // EL2, EL1 and EL0 in AArch64 alone; floating point and SIMD without half-precision arithmetic.
  ID_AA64PFR0_EL1: 0x00000111n,
  // As Xen hands it on: 6 breakpoints, 4 watchpoints and performance monitors whose registers are there and do nothing.
  ID_AA64DFR0_EL1: 0x10305106n,
  // AES with PMULL, SHA1, SHA256, CRC32.
  ID_AA64ISAR0_EL1: 0x00011120n,
  // 44 bits of physical address, 16 bits of ASID, little-endian alone, granules of 4, 16 and 64 KiB.
  ID_AA64MMFR0_EL1: 0x00101024n,
  // Lines of 64 bytes everywhere; the instruction cache is physically tagged.
  CTR_EL0: 0x8444c004n,
  // DC ZVA clears 64 bytes.
  DCZID_EL0: 4n,
  CLIDR_EL1: 0x0a200023n,
  SCTLR_EL1: 0x00c50838n,
};

/** CCSIDR_EL1 by CSSELR_EL1: level 1 data and instruction cache, level 2 cache of 2 MiB. */
export const cortexA57Caches: Readonly<Record<number, bigint>> = {
  0: 0x701fe00an,
  1: 0x201fe012n,
  2: 0x70ffe07an,
};
