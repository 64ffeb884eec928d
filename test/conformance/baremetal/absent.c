/* Instructions that Armv8.0 does not have or that are not advertised must be Undefined at EL1 and at EL0. */
#include "bare.h"

static const struct { const char *what; u32 word; } absent[] = {
    { "msr pan, #1", 0xd500419f },
    { "msr uao, #1", 0xd500417f },
    { "msr dit, #1", 0xd503415f },
    { "msr ssbs, #1", 0xd503413f },
    { "msr tco, #1", 0xd503419f },
    { "mrs x0, pan", 0xd5384260 },
    { "mrs x0, uao", 0xd5384280 },
    { "mrs x0, dit", 0xd53b42a0 },
    { "mrs x0, ssbs", 0xd53b42c0 },
    { "mrs x0, rndr", 0xd53b2400 },
    { "mrs x0, cntvctss_el0", 0xd53be0c0 },
    { "dc cvap, x0", 0xd50b7c20 },
    { "dc cvadp, x0", 0xd50b7d20 },
    { "dc gva, x0", 0xd50b7460 },
    { "dc igvac, x0", 0xd5087660 },
    { "at s1e1rp, x0", 0xd5087900 },
    { "at s1e2r, x0", 0xd50c7800 },
    { "at s12e1r, x0", 0xd50c7880 },
    { "tlbi vae1os, x0", 0xd5088120 },
    { "tlbi rvae1, x0", 0xd5088620 },
    { "tlbi vmalle1os", 0xd508811f },
    { "tlbi alle1", 0xd50c879f },
    { "tlbi vmalls12e1", 0xd50c87df },
    { "tlbi ipas2e1is, x0", 0xd50c8020 },
    { "tlbi alle3", 0xd50e871f },
    { "cfp rctx, x0", 0xd50b7380 },
    { "cfinv", 0xd500401f },
    { "axflag", 0xd500405f },
    { "sb", 0xd50330ff },
    { "wfet x0", 0xd5031000 },
    { "ldapr x0, [x0]", 0xf8bfc000 },
    { "stlur x0, [x0]", 0xd9000000 },
    { "ldraa x0, [x0]", 0xf8200400 },
    { "eretaa", 0xd69f0bff },
    { "braaz x0", 0xd61f081f },
    { "pacga x0, x0, x0", 0x9ac03000 },
    { "cas x0, x1, [x2]", 0xc8a07c41 },
    { "casp x0, x1, x2, x3, [x4]", 0x48207c82 },
    { "swp x0, x1, [x2]", 0xf8208041 },
    { "ldadd x0, x1, [x2]", 0xf8200041 },
    { "stg x0, [x0]", 0xd9200800 },
    { "irg x0, x0", 0x9adf1000 },
    { "ld64b x0, [x8]", 0xf83fd100 },
    { "rmif x0, #1, #1", 0xba008401 },
    { "setf8 w0", 0x3a00080d },
    { "fadd h0, h0, h0", 0x1ee02800 },
    { "fadd v0.8h, v0.8h, v0.8h", 0x4e401400 },
    { "fmov h0, w0", 0x1ee70000 },
    { "fjcvtzs w0, d0", 0x1e7e0000 },
    { "fcmla v0.4s, v0.4s, v0.4s, #0", 0x6e80c400 },
    { "fcadd v0.4s, v0.4s, v0.4s, #90", 0x6e80e400 },
    { "sqrdmlah v0.4s, v0.4s, v0.4s", 0x6e808400 },
    { "sdot v0.4s, v0.16b, v0.16b", 0x4e809400 },
    { "usdot v0.4s, v0.16b, v0.16b", 0x4e809c00 },
    { "smmla v0.4s, v0.16b, v0.16b", 0x4e80a400 },
    { "bfdot v0.4s, v0.8h, v0.8h", 0x6e40fc00 },
    { "bfcvt h0, s0", 0x1e634000 },
    { "fmlal v0.4s, v0.4h, v0.4h", 0x4e20ec00 },
    { "frint32x s0, s0", 0x1e28c000 },
    { "eor3 v0.16b, v0.16b, v0.16b, v0.16b", 0xce000000 },
    { "rax1 v0.2d, v0.2d, v0.2d", 0xce608c00 },
    { "sha512h q0, q0, v0.2d", 0xce608000 },
    { "sm3ss1 v0.4s, v0.4s, v0.4s, v0.4s", 0xce400000 },
    { "sm4e v0.4s, v0.4s", 0xcec08400 },
    { "ldff1b z0.b, p0/z, [x0]", 0xa41f6000 },
    { "ptrue p0.b", 0x2518e3e0 },
    { "rdvl x0, #1", 0x04bf5020 },
    { "dcps1", 0xd4a00001 },
    { "drps", 0xd6bf03e0 },
};

static u32 code[2] __attribute__((aligned(4096)));

static void write_code(u32 word, u32 end)
{
  code[0] = word;
  code[1] = end;
  asm volatile("dc cvau, %0\ndsb ish\nic ivau, %0\ndsb ish\nisb" ::"r"(code) : "memory");
}

void test_main(void)
{
  static u64 memory[8] __attribute__((aligned(64)));
  for (unsigned i = 0; i < sizeof absent / sizeof absent[0]; i++) {
    /* RET; SVC #0xffff. */
    write_code(absent[i].word, 0xd65f03c0);
    check(absent[i].what, (void (*)(void))code, (u64)memory, 0);
    write_code(absent[i].word, 0xd4000001 | 0xffff << 5);
    check_el0("at el0", (void (*)(void))code, (u64)memory, 0);
  }
  end_line();
}
