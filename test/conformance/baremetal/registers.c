/* System registers: their values and the bits that they keep. RES0 bits that QEMU keeps are not written here. */
#include "bare.h"

#define keeps(name, value)                 \
  do {                                     \
    u64 before_ = read_sysreg(name);       \
    write_sysreg(name, value);             \
    isb();                                 \
    begin(#name);                          \
    print_hex(read_sysreg(name));          \
    write_sysreg(name, before_);           \
    isb();                                 \
  } while (0)

#define says(name)                   \
  do {                               \
    begin(#name);                    \
    print_hex(read_sysreg(name));    \
  } while (0)

#define pattern 0xfedcba9876543210

snippet(read_flags, "cmp x0, x1\nmrs x0, nzcv");
snippet(write_flags, "msr nzcv, x0\ncset x1, mi\ncset x2, eq\ncset x3, cs\ncset x4, vs\n"
                     "orr x1, x2, x1, lsl #4\norr x1, x3, x1, lsl #4\norr x0, x4, x1, lsl #4");
snippet(masks, "msr daifset, #15\nmrs x0, daif\nmsr daifclr, #5\nmrs x1, daif\nmsr daifset, #1\nmrs x2, daif\n"
               "mov x3, #0x2ff\nmsr daif, x3\nmrs x3, daif\nmsr daifset, #15\n"
               "orr x0, x0, x1, lsl #12\norr x0, x0, x2, lsl #24\norr x0, x0, x3, lsl #36");

void test_main(void)
{
  keeps(tpidr_el0, pattern);
  keeps(tpidr_el1, pattern);
  keeps(tpidrro_el0, pattern);
  keeps(sp_el0, pattern);
  keeps(elr_el1, pattern);
  keeps(far_el1, pattern);
  keeps(esr_el1, 0x76543210);
  keeps(spsr_el1, 0xf01003c5);
  keeps(contextidr_el1, 0x76543210);
  keeps(vbar_el1, 0xfffffedcba987800);
  keeps(mair_el1, pattern);
  keeps(csselr_el1, 2);
  keeps(par_el1, 0xff00123456789b80);
  keeps(afsr0_el1, 0);
  keeps(amair_el1, 0);
  keeps(ttbr0_el1, 0x1234000040000000);
  keeps(ttbr1_el1, 0x5678000040000000);
  keeps(fpcr, 0x07c00000);
  keeps(fpsr, 0x0800009f);

  says(midr_el1);
  says(revidr_el1);
  says(aidr_el1);
  says(ctr_el0);
  says(dczid_el0);
  says(clidr_el1);
  says(id_aa64dfr0_el1);
  says(id_aa64dfr1_el1);
  says(id_aa64isar0_el1);
  says(id_aa64isar1_el1);
  says(id_aa64mmfr0_el1);
  says(id_aa64mmfr1_el1);
  says(id_aa64mmfr2_el1);
  says(id_aa64pfr0_el1);
  says(id_aa64pfr1_el1);
  says(id_isar0_el1);
  says(id_isar5_el1);
  says(id_mmfr0_el1);
  says(id_dfr0_el1);
  says(mvfr0_el1);
  says(mvfr1_el1);
  says(mvfr2_el1);
  says(s3_0_c0_c7_6);
  says(oslsr_el1);
  says(currentel);
  says(spsel);
  says(daif);
  says(isr_el1);
  says(mdrar_el1);
  for (u64 cache = 0; cache < 3; cache++) {
    write_sysreg(csselr_el1, cache);
    isb();
    says(ccsidr_el1);
  }

  /* The bits of SCTLR_EL1 that say which order data have, on top of what it is. */
  {
    u64 control = read_sysreg(sctlr_el1);
    begin("byte order");
    write_sysreg(sctlr_el1, control | 1 << 24);
    isb();
    print_hex(read_sysreg(sctlr_el1) ^ control);
    write_sysreg(sctlr_el1, control);
    isb();
  }

  check("flags of equal", read_flags, 7, 7);
  check("flags of less", read_flags, 6, 7);
  check("flags of overflow", read_flags, 0x8000000000000000, 1);
  for (u64 nzcv = 0; nzcv < 16; nzcv++) check("nzcv", write_flags, nzcv << 28, 0);
  check("masks", masks, 0, 0);

  end_line();
}
