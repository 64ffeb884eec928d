/**
 * What a Cortex-A57 r1p0 says of itself in its identification registers (Arm DDI 0488H, 4.3), as a guest at EL1 sees it
 * that has no EL3 below it and no debug or performance monitors of its own. By register name; what is absent reads 0.
 * The interrupt controller's field (ID_AA64PFR0_EL1.GIC) and MPIDR_EL1 are the machine's to say.
 */
export const cortexA57: Readonly<Record<string, bigint>> = {
  MIDR_EL1: 0x411fd070n,
  REVIDR_EL1: 0n,
  AIDR_EL1: 0n,
  ID_PFR0_EL1: 0x00000131n,
  ID_PFR1_EL1: 0x00010001n,
  ID_DFR0_EL1: 0x03010006n,
  ID_AFR0_EL1: 0n,
  ID_MMFR0_EL1: 0x10101105n,
  ID_MMFR1_EL1: 0x40000000n,
  ID_MMFR2_EL1: 0x01260000n,
  ID_MMFR3_EL1: 0x02102211n,
  ID_ISAR0_EL1: 0x02101110n,
  ID_ISAR1_EL1: 0x13112111n,
  ID_ISAR2_EL1: 0x21232042n,
  ID_ISAR3_EL1: 0x01112131n,
  ID_ISAR4_EL1: 0x00011142n,
  ID_ISAR5_EL1: 0x00011121n,
  MVFR0_EL1: 0x10110222n,
  MVFR1_EL1: 0x12111111n,
  MVFR2_EL1: 0x00000043n,
  // EL2, EL1 and EL0 also in AArch32; floating point and SIMD without half-precision arithmetic.
  ID_AA64PFR0_EL1: 0x00000222n,
  ID_AA64DFR0_EL1: 0x10305106n,
  // AES with PMULL, SHA1, SHA256, CRC32.
  ID_AA64ISAR0_EL1: 0x00011120n,
  // 44 bits of physical address, 16 bits of ASID, mixed endianness, granules of 4 and 64 KiB but not 16.
  ID_AA64MMFR0_EL1: 0x00001124n,
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
