/* Exclusives, ordered accesses, alignment, DC ZVA and self-modifying code, with translation off. */
#include "bare.h"

static u64 cells[64] __attribute__((aligned(128)));

#define cell(n) ((u64)&cells[n])

snippet(exclusive, "ldxr x2, [x0]\nadd x2, x2, x1\nstxr w3, x2, [x0]\nldr x4, [x0]\norr x0, x4, x3, lsl #60");
snippet(exclusive_byte, "ldaxrb w2, [x0]\nadd w2, w2, w1\nstlxrb w3, w2, [x0]\nldr x4, [x0]\norr x0, x4, x3, lsl #60");
snippet(exclusive_half, "ldaxrh w2, [x0]\nadd w2, w2, w1\nstlxrh w3, w2, [x0]\nldr x4, [x0]\norr x0, x4, x3, lsl #60");
snippet(exclusive_word, "ldxr w2, [x0]\nadd w2, w2, w1\nstxr w3, w2, [x0]\nldr x4, [x0]\norr x0, x4, x3, lsl #60");
snippet(exclusive_pair, "ldxp x2, x3, [x0]\nadd x2, x2, x1\nstxp w5, x3, x2, [x0]\nldp x2, x3, [x0]\n"
                        "eor x0, x2, x3, ror #8\norr x0, x0, x5, lsl #63");
snippet(exclusive_pair_words, "ldaxp w2, w3, [x0]\nadd w2, w2, w1\nstlxp w5, w3, w2, [x0]\nldr x2, [x0]\norr x0, x2, x5, lsl #63");
snippet(without_load, "clrex\nstxr w0, x1, [x0]");
snippet(twice, "ldxr x2, [x0]\nstxr w3, x1, [x0]\nstxr w4, x1, [x0]\norr x0, x3, x4, lsl #4");
snippet(cleared, "ldxr x2, [x0]\nclrex\nstxr w0, x1, [x0]");
snippet(elsewhere, "ldxr x2, [x0]\nadd x5, x0, #64\nstxr w0, x1, [x5]");
snippet(over_exception, "ldxr x2, [x0]\nsvc #0xfffe\nstxr w0, x1, [x0]");
snippet(ordered, "stlr x1, [x0]\nldar x2, [x0]\nstlrh w1, [x0]\nldarb w3, [x0]\nldarh w4, [x0]\nldar w5, [x0]\n"
                 "eor x0, x2, x3\neor x0, x0, x4, lsl #8\neor x0, x0, x5, lsl #16");
snippet(load_exclusive, "ldxr x0, [x0]");
snippet(load_exclusive_half, "ldxrh w0, [x0]");
snippet(load_exclusive_pair, "ldxp x0, x1, [x0]");
snippet(load_exclusive_pair_words, "ldxp w0, w1, [x0]");
snippet(load_ordered, "ldar w0, [x0]");
snippet(store_ordered, "stlr x1, [x0]");
snippet(load, "ldr x0, [x0]");
snippet(load_pair, "ldp x0, x1, [x0]");
snippet(load_word, "ldr w0, [x0]");
snippet(store_half, "strh w1, [x0]");
snippet(load_vector, "ldr q0, [x0]\nmov x0, v0.d[0]");
snippet(store_vector, "str q0, [x0]");
snippet(clear_block, "dc zva, x0");
snippet(maintain, "dc cvac, x0\ndc cvau, x0\ndc civac, x0\nic ivau, x0\ndc isw, xzr\ndc csw, xzr\ndc cisw, xzr\nic iallu\nic ialluis\nmov x0, #1");
snippet(wfe_with_event, "sevl\nwfe\nsev\nwfe\nmov x0, #1");

/* A function written as data: MOV X0, #n; RET. */
static u32 code[1024] __attribute__((aligned(4096)));

static void write_code(u32 n)
{
  code[0] = 0xd2800000 | (n << 5);
  code[1] = 0xd65f03c0;
  asm volatile("dc cvau, %0\ndsb ish\nic ivau, %0\ndsb ish\nisb" ::"r"(code) : "memory");
}

static void changing_code(void)
{
  begin("changing code");
  u64 sum = 0;
  for (u32 n = 1; n < 300; n++) {
    write_code(n);
    sum = sum * 31 + try_code(code, 0, 0);
  }
  print_hex(sum);
  begin("code that changes itself");
  /* The store changes a later instruction; ISB makes the CPU fetch it again. */
  static u32 itself[] __attribute__((aligned(64))) = {
    0x10000082, /* adr x2, .+16 */
    0xb9000041, /* str w1, [x2] */
    0xd5033f9f, /* dsb sy */
    0xd5033fdf, /* isb */
    0xd2800000, /* mov x0, #0, which becomes mov x0, #n */
    0xd65f03c0, /* ret */
  };
  for (u32 n = 1; n < 200; n++) {
    asm volatile("dc cvau, %0\ndsb ish\nic ivau, %0\ndsb ish\nisb" ::"r"(&itself[4]) : "memory");
    sum = sum * 31 + try_code(itself, 0, 0xd2800000 | (n << 5));
  }
  print_hex(sum);
}

void test_main(void)
{
  for (int i = 0; i < 64; i++) cells[i] = 0x0102030405060708 * (i + 1);
  check("exclusive", exclusive, cell(0), 1);
  check("exclusive byte", exclusive_byte, cell(1), 0xff);
  check("exclusive half", exclusive_half, cell(2), 0xffff);
  check("exclusive word", exclusive_word, cell(3), 0xffffffff);
  check("exclusive pair", exclusive_pair, cell(4), 5);
  check("exclusive pair of words", exclusive_pair_words, cell(6), 6);
  check("store without a load", without_load, cell(7), 7);
  check("two stores", twice, cell(8), 8);
  check("cleared", cleared, cell(9), 9);
  check("another address", elsewhere, cell(10), 10);
  check("over an exception", over_exception, cell(11), 11);
  check("ordered", ordered, cell(12), 0x8877665544332211);

  check("misaligned exclusive", load_exclusive, cell(0) + 4, 0);
  check("misaligned exclusive half", load_exclusive_half, cell(0) + 1, 0);
  check("misaligned exclusive pair", load_exclusive_pair, cell(1), 0);
  check("misaligned exclusive pair of words", load_exclusive_pair_words, cell(0) + 4, 0);
  check("misaligned ordered load", load_ordered, cell(0) + 2, 0);
  check("misaligned ordered store", store_ordered, cell(0) + 1, 0);
  /* Everything is Device memory now. */
  check("misaligned load", load, cell(0) + 1, 0);
  check("misaligned pair", load_pair, cell(0) + 4, 0);
  check("aligned pair", load_pair, cell(1), 0);
  check("misaligned word", load_word, cell(0) + 3, 0);
  check("misaligned half", store_half, cell(0) + 1, 0);
  check("aligned half", store_half, cell(0) + 2, 0x9999);
  check("misaligned vector", load_vector, cell(0) + 4, 0);
  check("misaligned vector store", store_vector, cell(0) + 1, 0);
  for (int i = 0; i < 64; i++) cells[i] = 0x1111 * i;
  check("aligned vector", load_vector, cell(4), 0);
  check("maintenance", maintain, cell(0), 0);
  check("wfe with an event", wfe_with_event, 0, 0);
  check("beyond memory", load, 0x3ffffffff000, 0);
  check("beyond physical addresses", load, 0x100000000000, 0);
  check("beyond 48 bits", load, 0x1000000000000, 0);
  check("with a tag", load, cell(0) | (0x55ul << 56), 0);
  changing_code();
  end_line();
}
