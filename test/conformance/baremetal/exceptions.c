/* Exceptions caused by instructions: syndromes, vectors and returns. */
#include "bare.h"

snippet(nothing, "mov x0, #1");
snippet(svc, "svc #0x1234");
snippet(svc_resume, "mov x0, #1\nadds x1, x0, x0\nsvc #0xfffe\nmrs x0, nzcv");
snippet(brk, "brk #0xf00d");
snippet(hlt, "hlt #0x12");
snippet(udf, "udf #3");
snippet(unallocated, ".inst 0x00100000");
snippet(unallocated_system, ".inst 0xd5000000");
snippet(unknown_register, "mrs x0, s3_7_c15_c15_7");
snippet(read_only_register, "msr s3_0_c0_c0_0, x0");
snippet(el2_register, "mrs x0, hcr_el2");
snippet(el3_register, "mrs x0, scr_el3");
snippet(smc, "smc #0");
snippet(sp_el1_register, "mrs x0, sp_el1");
snippet(bad_pc, "add x1, x0, #2\nbr x1");
snippet(sysl, "sysl x0, #0, c7, c5, #0");
snippet(pan, ".inst 0xd500419f");
snippet(lse, ".inst 0xb8210020");
snippet(rdm, ".inst 0x6e828420");

user_snippet(el0_nothing, "mov x0, #1");
user_snippet(el0_svc, "svc #0x4321");
user_snippet(el0_brk, "brk #1");
user_snippet(el0_hvc, "hvc #0");
user_snippet(el0_smc, "smc #0");
user_snippet(el0_eret, "eret");
user_snippet(el0_flags, "mov x0, #-1\nadds x0, x0, #1\nsvc #0x77");
user_snippet(el0_register, "mrs x0, sctlr_el1");
user_snippet(el0_id_register, "mrs x0, midr_el1");
user_snippet(el0_write_register, "msr vbar_el1, x0");
user_snippet(el0_current_el, "mrs x0, currentel");
user_snippet(el0_spsel, "msr spsel, #0");
user_snippet(el0_daif, "mrs x7, daif");
user_snippet(el0_set_daif, "msr daif, x9");
user_snippet(el0_daifset, "msr daifset, #5");
user_snippet(el0_daifclr, "msr daifclr, #10");
user_snippet(el0_ctr, "mrs x3, ctr_el0");
user_snippet(el0_dczid, "mrs x3, dczid_el0");
user_snippet(el0_tpidr, "msr tpidr_el0, x0\nmrs x0, tpidr_el0");
user_snippet(el0_tpidrro, "mrs x0, tpidrro_el0");
user_snippet(el0_write_tpidrro, "msr tpidrro_el0, x0");
user_snippet(el0_tlbi, "tlbi vmalle1");
user_snippet(el0_iallu, "ic iallu");
user_snippet(el0_isw, "dc isw, x0");
user_snippet(el0_ivac, "dc ivac, x0");
user_snippet(el0_cvac, "dc cvac, x0");
user_snippet(el0_cvau, "dc cvau, x0");
user_snippet(el0_civac, "dc civac, x0");
user_snippet(el0_ivau, "ic ivau, x0");
user_snippet(el0_zva, "dc zva, x0");
user_snippet(el0_at, "at s1e0r, x0");
user_snippet(el0_wfi, "wfi");
user_snippet(el0_wfe, "sevl\nwfe\nwfe");
user_snippet(el0_sp, "mov x9, sp\nadd x10, x9, x0\nmov sp, x10\nldr x0, [sp]");
user_snippet(el0_sp_store, "mov x9, sp\nsub x10, x9, x0\nmov sp, x10\nstp x0, x1, [sp, #-16]!");
user_snippet(el0_sp_vector, "mov x9, sp\nsub x10, x9, x0\nmov sp, x10\nst1 {v0.16b}, [sp]");
user_snippet(el0_sp_exclusive, "mov x9, sp\nsub x10, x9, x0\nmov sp, x10\nldxr w0, [sp]");
user_snippet(el0_sp_prefetch, "mov x9, sp\nsub x10, x9, x0\nmov sp, x10\nprfm pldl1keep, [sp]");
user_snippet(el0_sp_add, "mov x9, sp\nsub x10, x9, x0\nmov sp, x10\nadd x0, sp, #8");
user_snippet(el0_fp, "fmov d0, #1.0");
user_snippet(el0_simd_load, "ldr q0, [x0]");
user_snippet(el0_fpcr, "mrs x1, fpcr");
user_snippet(el0_bad_pc, "add x1, x0, #1\nbr x1");
user_snippet(el0_hints, "nop\nyield\nsev\nsevl\nhint #77\ndsb sy\ndmb ish\nisb\nclrex");
snippet(fp, "fmov d0, #1.0");
snippet(simd, "add v0.4s, v1.4s, v2.4s");
snippet(fpsr, "msr fpsr, x0");

static u8 block[256] __attribute__((aligned(64)));

/* Exceptions from EL1 on SP_EL0, which have separate vectors. */
snippet(from_el1t, "mov x9, sp\nmsr sp_el0, x9\nmsr spsel, #0\nmov x0, sp\nsvc #9");
snippet(el1t_sp_el0, "mov x9, sp\nmsr sp_el0, x9\nmsr spsel, #0\nmrs x0, sp_el0");
snippet(el1t_spsel, "mov x9, sp\nmsr sp_el0, x9\nmrs x0, spsel\nmsr spsel, #0\nmrs x1, spsel\nmsr spsel, #1\norr x0, x0, x1, lsl #4");
snippet(spsel_register, "mov x9, sp\nmsr sp_el0, x9\nmov x1, #0\nmsr spsel, x1\nmov x0, sp\nsub x0, x0, x9\nmov x1, #1\nmsr spsel, x1");

/* A misaligned stack pointer, on SP_EL0. */
snippet(el1t_sp, "mov x9, sp\nsub x10, x9, x0\nmsr sp_el0, x10\nmsr spsel, #0\nldr x0, [sp, #-16]\nmsr spsel, #1");

static void stacks(const char *phase)
{
  begin(phase);
  for (u64 offset = 0; offset <= 16; offset += 8) {
    check_el0("sp", el0_sp, -offset, 0);
    check_el0("sp store", el0_sp_store, offset, 0);
    check_el0("sp vector", el0_sp_vector, offset, 0);
    check_el0("sp exclusive", el0_sp_exclusive, offset, 0);
    check_el0("sp prefetch", el0_sp_prefetch, offset, 0);
    check_el0("sp add", el0_sp_add, offset, 0);
    check("sp el1t", el1t_sp, offset, 0);
  }
}

/* Returns by ERET to x0 with SPSR x1; the code there causes an exception that shows the new PSTATE. */
snippet(return_to, "msr elr_el1, x0\nmsr spsr_el1, x1\neret");
snippet(landing, "svc #0x66");

static void returns(void)
{
  static const struct { const char *what; u64 spsr; } states[] = {
    { "to EL1h", 0x3c5 },
    { "to EL1h with flags", 0xa00003c5 },
    { "to EL1h unmasked", 0x5 },
    { "to EL1t", 0x3c4 },
    { "to EL0", 0x0 },
    { "to EL0 masked", 0x600003c0 },
    { "with IL", 0x1003c5 },
    { "to EL0 with IL", 0x100000 },
    { "to EL0h", 0x3c1 },
    { "to EL1 with bit 1", 0x3c6 },
    { "to EL2h", 0x3c9 },
    { "to EL2t", 0x600003c8 },
    { "to EL3", 0x3cd },
    { "to AArch32 User", 0x1d0 },
    { "to AArch32 Supervisor", 0x1d3 },
    { "to Thumb", 0x1f0 },
  };
  for (unsigned i = 0; i < sizeof states / sizeof states[0]; i++)
    check(states[i].what, return_to, (u64)landing, states[i].spsr);
  check("to a misaligned pc", return_to, (u64)landing + 2, 0x3c5);
  check("to a misaligned pc at EL0", return_to, (u64)landing + 1, 0);
  check("to a misaligned pc with IL", return_to, (u64)landing + 2, 0x1003c5);
}

static void el0(const char *phase)
{
  begin(phase);
  check_el0("el0 daif", el0_daif, 0, 0);
  check_el0("el0 set daif", el0_set_daif, 0, 0);
  check_el0("el0 daifset", el0_daifset, 0, 0);
  check_el0("el0 daifclr", el0_daifclr, 0, 0);
  check_el0("el0 ctr", el0_ctr, 0, 0);
  check_el0("el0 dczid", el0_dczid, 0, 0);
  check_el0("el0 dc cvac", el0_cvac, (u64)block, 0);
  check_el0("el0 dc cvau", el0_cvau, (u64)block, 0);
  check_el0("el0 dc civac", el0_civac, (u64)block, 0);
  check_el0("el0 ic ivau", el0_ivau, (u64)block, 0);
}

void test_main(void)
{
  check("nothing", nothing, 0, 0);
  check("svc", svc, 0, 0);
  check("svc and on", svc_resume, 0, 0);
  check("brk", brk, 0, 0);
  check("hlt", hlt, 0, 0);
  check("udf", udf, 0, 0);
  check("unallocated", unallocated, 0, 0);
  check("unallocated system instruction", unallocated_system, 0, 0);
  check("unknown register", unknown_register, 0, 0);
  check("read-only register", read_only_register, 0, 0);
  check("el2 register", el2_register, 0, 0);
  check("el3 register", el3_register, 0, 0);
  check("smc", smc, 0, 0);
  check("sp_el1", sp_el1_register, 0, 0);
  check("misaligned pc", bad_pc, (u64)nothing, 0);
  check("sysl", sysl, 0, 0);
  check("pan is absent", pan, 0, 0);
  check("lse is absent", lse, 0, 0);
  check("rdm is absent", rdm, 0, 0);
  check("el1t", from_el1t, 0, 0);
  check("sp_el0 on itself", el1t_sp_el0, 0, 0);
  check("spsel", el1t_spsel, 0, 0);
  check("spsel as a register", spsel_register, 0, 0);
  returns();

  check_el0("el0 nothing", el0_nothing, 0, 0);
  check_el0("el0 svc", el0_svc, 0, 0);
  check_el0("el0 brk", el0_brk, 0, 0);
  check_el0("el0 hvc", el0_hvc, 0, 0);
  check_el0("el0 smc", el0_smc, 0, 0);
  check_el0("el0 eret", el0_eret, 0, 0);
  check_el0("el0 flags", el0_flags, 0, 0);
  check_el0("el0 register", el0_register, 0, 0);
  check_el0("el0 id register", el0_id_register, 0, 0);
  check_el0("el0 write register", el0_write_register, 0, 0);
  check_el0("el0 currentel", el0_current_el, 0, 0);
  check_el0("el0 spsel", el0_spsel, 0, 0);
  check_el0("el0 tpidr", el0_tpidr, 5, 0);
  check_el0("el0 tpidrro", el0_tpidrro, 0, 0);
  check_el0("el0 write tpidrro", el0_write_tpidrro, 0, 0);
  check_el0("el0 tlbi", el0_tlbi, 0, 0);
  check_el0("el0 ic iallu", el0_iallu, 0, 0);
  check_el0("el0 dc isw", el0_isw, 0, 0);
  check_el0("el0 dc ivac", el0_ivac, (u64)block, 0);
  check_el0("el0 at", el0_at, 0, 0);
  check_el0("el0 misaligned pc", el0_bad_pc, (u64)nothing, 0);
  check_el0("el0 hints", el0_hints, 0, 0);

  u64 control = read_sysreg(sctlr_el1);
  /* UMA, UCT, UCI, DZE, nTWI, nTWE off, then on. */
  u64 bits = (1 << 9) | (1 << 15) | (1 << 26) | (1 << 14) | (1 << 16) | (1 << 18);
  write_sysreg(sctlr_el1, control & ~bits);
  isb();
  el0("EL0 is let do nothing");
  check_el0("el0 dc zva", el0_zva, (u64)block, 0);
  check_el0("el0 wfi", el0_wfi, 0, 0);
  check_el0("el0 wfe", el0_wfe, 0, 0);
  write_sysreg(sctlr_el1, control | bits);
  isb();
  el0("EL0 is let do all");

  /* SA and SA0: off, then on. */
  write_sysreg(sctlr_el1, control & ~(1ul << 3 | 1ul << 4));
  isb();
  stacks("stack pointers are not checked");
  write_sysreg(sctlr_el1, control | 1 << 3 | 1 << 4);
  isb();
  stacks("stack pointers are checked");
  write_sysreg(sctlr_el1, control);
  isb();

  static const u64 enables[] = { 0, 1, 2, 3 };
  for (int i = 0; i < 4; i++) {
    begin("cpacr");
    print_hex(enables[i]);
    write_sysreg(cpacr_el1, enables[i] << 20);
    isb();
    check("fp", fp, 0, 0);
    check("simd", simd, 0, 0);
    check("fpsr", fpsr, 0, 0);
    check_el0("el0 fp", el0_fp, 0, 0);
    check_el0("el0 simd load", el0_simd_load, (u64)block, 0);
    check_el0("el0 fpcr", el0_fpcr, 0, 0);
  }
  end_line();
}
