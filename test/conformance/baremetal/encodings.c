/*
 * Lists the system registers and system instructions that exist at EL1 and at EL0: tries every encoding, and prints those
 * that are not Undefined, or that trap from EL0 to EL1.
 */
#include "bare.h"

/* MRS and MSR with X0 and SYS with X0, to which op0, op1, CRn, CRm and op2 are added in bits 20:5. */
#define MRS 0xd5200000u
#define MSR 0xd5000000u
#define SYS 0xd5080000u
#define STATE 0xd5000000u
#define RET 0xd65f03c0u
#define SVC_END (0xd4000001u | 0xffffu << 5)

static u32 code[1024] __attribute__((aligned(4096)));
static u8 block[4096] __attribute__((aligned(4096)));

static void write_code(u32 word, u32 end)
{
  code[0] = word;
  code[1] = end;
  asm volatile("dc cvau, %0\ndsb ish\nic ivau, %0\ndsb ish\nisb" ::"r"(code) : "memory");
}

/* The class of the exception that the word causes at EL1 or EL0; 64 if it causes none. */
static u64 class_of(u32 word, int el0)
{
  /* Writes 0; an instruction that takes an address gets a valid one. */
  u64 operand = (word & 0xfff80000u) == SYS ? (u64)block : 0;
  exceptions = 0;
  write_code(word, el0 ? SVC_END : RET);
  quiet = 1;
  if (el0) try_el0(code, operand, 0);
  else try_code(code, operand, 0);
  quiet = 0;
  return exceptions == 0 ? 64 : quiet_class;
}

static void print_encoding(u32 word)
{
  u32 fields[] = { word >> 19 & 3, word >> 16 & 7, word >> 12 & 15, word >> 8 & 15, word >> 5 & 7 };
  print("s");
  for (int i = 0; i < 5; i++) {
    if (i > 0) print("_");
    print_hex(fields[i]);
  }
}

/* Skip hints, because some wait forever, and SPSel, because it changes the stack pointer. */
static int is_left_out(u32 word)
{
  u32 field = word >> 5 & 0x3fff;
  return (word & 0xfff80000u) == 0xd5000000u && ((field >> 7 & 15) == 2 || (field & 0x3f87) == 0x205);
}

static void list(const char *what, u32 base, u32 first, u32 last, int el0)
{
  begin(what);
  for (u32 n = first; n < last; n++) {
    if (is_left_out(base | n << 5)) continue;
    u64 class = class_of(base | n << 5, el0);
    if (class == 0) continue;
    end_line();
    print(what);
    print(" ");
    print_encoding(base | n << 5);
    print(" ");
    print_hex(class);
  }
}

void test_main(void)
{
  for (u64 mode = 0; mode < 2; mode++) {
    /* op0 is 2 or 3; then 1. */
    list(mode ? "el0 mrs" : "mrs", MRS, 2 << 14, 4 << 14, mode);
    list(mode ? "el0 sys" : "sys", SYS, 0, 1 << 14, mode);
    /* Barriers and PSTATE fields, with register 31 and with another. */
    list(mode ? "el0 state" : "state", STATE | 31, 0, 1 << 14, mode);
    list(mode ? "el0 state x0" : "state x0", STATE, 0, 1 << 14, mode);
  }
  /* Debug and identification registers; writing others has side effects. */
  list("msr", MSR, 2 << 14, 3 << 14, 0);
  list("msr", MSR, 3 << 14, (3 << 14) + (1 << 7), 0);
  end_line();
}
