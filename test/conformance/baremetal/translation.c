/*
 * Translation: every kind of fault at every level, permissions, sizes of address spaces, tags, ASIDs, blocks, walks to
 * unmapped memory, AT, and TLB maintenance. GRANULE is the binary logarithm of the granule: 12, 14 or 16.
 */
#include "bare.h"

#ifndef GRANULE
#define GRANULE 12
#endif

#define PAGE (1ul << GRANULE)
#define BITS_PER_LEVEL (GRANULE - 3)
#define LEVEL_SHIFT(level) (GRANULE + BITS_PER_LEVEL * (3 - (level)))

/* Descriptors. */
#define VALID 1ul
#define TABLE 3ul
#define BLOCK 1ul
#define PAGE_TYPE 3ul
#define ATTRIBUTES(index) ((u64)(index) << 2)
#define NORMAL ATTRIBUTES(1)
#define DEVICE ATTRIBUTES(0)
#define USER (1ul << 6)
#define READ_ONLY (1ul << 7)
#define INNER (3ul << 8)
#define ACCESSED (1ul << 10)
#define NOT_GLOBAL (1ul << 11)
#define CONTIGUOUS (1ul << 52)
#define PXN (1ul << 53)
#define UXN (1ul << 54)
#define PXN_TABLE (1ul << 59)
#define UXN_TABLE (1ul << 60)
#define NO_USER_TABLE (1ul << 61)
#define READ_ONLY_TABLE (1ul << 62)

#define RAM 0x40000000ul
#define UART_PAGE 0x09000000ul
/* Address of the RAM at EL0. */
#define USER_VIEW 0x80000000ul
/* What the tests map: under an entry of its own in the first table, whatever the granule. */
#define WINDOW 0x900000000000ul
/* A physical address without memory. */
#define NOWHERE 0x3000000000ul

static u64 pool[40][PAGE / 8] __attribute__((aligned(65536)));
static unsigned pool_used;
/* The page mapped for the tests, and the page after it. */
static u8 target[2 * PAGE] __attribute__((aligned(65536)));

static u64 *new_table(void)
{
  u64 *table = pool[pool_used++];
  for (unsigned i = 0; i < PAGE / 8; i++) table[i] = 0;
  return table;
}

static unsigned start_level(unsigned bits) { return 4 - (bits - GRANULE + BITS_PER_LEVEL - 1) / BITS_PER_LEVEL; }

/* The entry of a level for an address below a root table; tables are made on the way. */
static u64 *entry(u64 *root, unsigned bits, u64 address, unsigned level)
{
  u64 *table = root;
  u64 offset = address & ((1ul << bits) - 1);
  for (unsigned at = start_level(bits);; at++) {
    u64 *found = &table[(offset >> LEVEL_SHIFT(at)) & (PAGE / 8 - 1)];
    if (at == level) return found;
    if ((*found & VALID) == 0) *found = (u64)new_table() | TABLE;
    table = (u64 *)(*found & 0xfffffffff000ul & ~(PAGE - 1));
  }
}

static u64 *root0;
/* The value of TTBR1 for an empty upper range. */
static u64 *empty;

#define TG0 (GRANULE == 12 ? 0ul : GRANULE == 14 ? 2ul : 1ul)
#define TG1 (GRANULE == 12 ? 2ul : GRANULE == 14 ? 1ul : 3ul)
/* 48 bits on both sides, 44 bits of physical address, 16 bits of ASID. */
#define TCR (16ul | 16ul << 16 | TG0 << 14 | TG1 << 30 | 4ul << 32 | 1ul << 36)

static void invalidate(void) { asm volatile("dsb sy\ntlbi vmalle1\ndsb sy\nisb" ::: "memory"); }

static void translate_on(void)
{
  root0 = new_table();
  empty = new_table();
  *entry(root0, 48, UART_PAGE, 3) = UART_PAGE | PAGE_TYPE | DEVICE | ACCESSED | PXN | UXN;
  for (u64 at = 0; at < (64ul << 20); at += 1ul << LEVEL_SHIFT(2)) {
    *entry(root0, 48, RAM + at, 2) = (RAM + at) | BLOCK | NORMAL | INNER | ACCESSED | UXN;
    *entry(root0, 48, USER_VIEW + at, 2) = (RAM + at) | BLOCK | NORMAL | INNER | ACCESSED | USER | READ_ONLY | PXN;
  }
  /* Attribute 0: Device-nGnRnE; 1: normal, write-back; 2: normal, not cacheable. */
  write_sysreg(mair_el1, 0x44ff00);
  write_sysreg(tcr_el1, TCR);
  write_sysreg(ttbr0_el1, (u64)root0);
  write_sysreg(ttbr1_el1, (u64)empty);
  invalidate();
  write_sysreg(sctlr_el1, read_sysreg(sctlr_el1) | 1 | 1 << 2 | 1 << 12);
  isb();
}

static void user_view(void (*code)(void), u64 a, u64 b, const char *what)
{
  check_el0(what, (void (*)(void))((u64)code + (USER_VIEW - RAM)), a, b);
}

snippet(load, "ldr x0, [x0]");
snippet(store, "str x1, [x0]\nmov x0, #0x11");
snippet(call, "stp x29, x30, [sp, #-16]!\nblr x0\nldp x29, x30, [sp], #16");
snippet(load_user, "ldtr x0, [x0]");
snippet(store_user, "sttr x1, [x0]\nmov x0, #0x12");
snippet(load_pair, "ldp x0, x1, [x0]\nadd x0, x0, x1");
snippet(store_pair, "mov x2, #0x77\nstp x2, x1, [x0]\nmov x0, #0x13");
snippet(load_exclusive, "ldxr x0, [x0]");
snippet(store_exclusive, "mov x3, x0\nldxr x2, [x0]\nstxr w0, x1, [x3]");
snippet(load_ordered, "ldar x0, [x0]");
snippet(load_vector, "ldr q0, [x0]\nfmov x0, d0");
snippet(store_vector, "movi v0.2d, #0\nstr q0, [x0]\nmov x0, #0x14");
snippet(load_writeback, "mov x2, x0\nldr x1, [x2], #8\nsub x0, x2, x0");
snippet(clear_block, "dc zva, x0\nmov x0, #0x15");
snippet(prefetch, "prfm pldl1keep, [x0]\nmov x0, #0x16");
snippet(at_read, "at s1e1r, x0\nisb\nmrs x0, par_el1");
snippet(at_write, "at s1e1w, x0\nisb\nmrs x0, par_el1");
snippet(at_user_read, "at s1e0r, x0\nisb\nmrs x0, par_el1");
snippet(at_user_write, "at s1e0w, x0\nisb\nmrs x0, par_el1");

user_snippet(user_load, "ldr x0, [x0]");
user_snippet(user_store, "str x1, [x0]");
user_snippet(user_call, "br x0");
user_snippet(user_clear_block, "dc zva, x0");

/* What is in the target page: at 0 code for EL1, at 64 for EL0, from 128 on data. */
static void fill_target(void)
{
  u32 *words = (u32 *)target;
  for (unsigned i = 0; i < 2 * PAGE / 4; i++) words[i] = 0;
  words[0] = 0xd28000e0;  /* mov x0, #7 */
  words[1] = 0xd65f03c0;  /* ret */
  words[16] = 0xd4000001 | 0xffffu << 5; /* svc #0xffff */
  *(u64 *)(target + 128) = 0x1122334455667788;
  asm volatile("dsb sy\nic iallu\ndsb sy\nisb" ::: "memory");
}

/* Every access of the page at `va`. */
static void probe(const char *what, u64 va)
{
  end_line();
  print("== ");
  print(what);
  fill_target();
  check("read", load, va + 128, 0);
  check("write", store, va + 136, 5);
  check("execute", call, va, 0);
  check("ldtr", load_user, va + 128, 0);
  check("sttr", store_user, va + 136, 6);
  user_view(user_load, va + 128, 0, "el0 read");
  user_view(user_store, va + 136, 7, "el0 write");
  user_view(user_call, va + 64, 0, "el0 execute");
  begin("left");
  print_hex(*(u64 *)(target + 136));
}

static void probe_at(const char *what, u64 va)
{
  begin(what);
  check("at r", at_read, va, 0);
  check("at w", at_write, va, 0);
  check("at user r", at_user_read, va, 0);
  check("at user w", at_user_write, va, 0);
}

#define LEAF ((u64)target | PAGE_TYPE | NORMAL | INNER | ACCESSED)

static void permissions(void)
{
  u64 *leaf = entry(root0, 48, WINDOW, 3);
  u64 *table = entry(root0, 48, WINDOW, 2);
  for (u64 bits = 0; bits < 16; bits++) {
    u64 limits = (bits & 1 ? USER : 0) | (bits & 2 ? READ_ONLY : 0) | (bits & 4 ? PXN : 0) | (bits & 8 ? UXN : 0);
    *leaf = LEAF | limits;
    invalidate();
    begin("permissions");
    print_hex(bits);
    probe("page", WINDOW);
    probe_at("page", WINDOW + 8);
  }
  u64 plain = *table;
  static const u64 limits[] = { PXN_TABLE, UXN_TABLE, NO_USER_TABLE, READ_ONLY_TABLE, NO_USER_TABLE | READ_ONLY_TABLE };
  for (unsigned i = 0; i < 5; i++) {
    *table = plain | limits[i];
    *leaf = LEAF | USER;
    invalidate();
    begin("table limits");
    print_hex(limits[i] >> 59);
    probe("page that EL0 writes", WINDOW);
    *leaf = LEAF | USER | READ_ONLY;
    invalidate();
    probe("page that EL0 reads", WINDOW);
  }
  *table = plain;
  *leaf = 0;
  invalidate();
}

/* Descriptors that are no pages, at every level that has them. */
static void faults(void)
{
  for (unsigned level = start_level(48); level <= 3; level++) {
    u64 *found = entry(root0, 48, WINDOW, level);
    u64 before = *found;
    u64 block = ((u64)target & ~((1ul << LEVEL_SHIFT(level)) - 1)) | (level == 3 ? PAGE_TYPE : BLOCK) | NORMAL | INNER;
    u64 offset = (u64)target & ((1ul << LEVEL_SHIFT(level)) - 1);
    begin("level");
    print_hex(level);
    *found = 0;
    invalidate();
    probe("invalid", WINDOW);
    probe_at("invalid", WINDOW);
    /* QEMU takes blocks at levels that have none (DDI 0487, D8.3.1): mmu.test.ts has those. */
    if (level == 2 || level == 3 || (GRANULE == 12 && level == 1)) {
      *found = block & ~2ul;
      invalidate();
      probe("reserved or a block without access flag", WINDOW + offset);
      *found = (block & ~2ul) | ACCESSED;
      invalidate();
      probe("reserved or a block", WINDOW + offset);
      probe_at("reserved or a block", WINDOW + offset);
    }
    *found = block | (level == 3 ? 0 : 2);
    invalidate();
    if (level == 3) probe("page without access flag", WINDOW);
    *found = (1ul << 44) | TABLE | ACCESSED | NORMAL;
    invalidate();
    probe("output beyond the physical addresses", WINDOW);
    probe_at("output beyond the physical addresses", WINDOW);
    *found = NOWHERE | TABLE | ACCESSED | NORMAL;
    invalidate();
    probe("nowhere", WINDOW);
    *found = before;
    invalidate();
  }
}

static void blocks(void)
{
  u64 *found = entry(root0, 48, WINDOW, 2);
  u64 before = *found;
  u64 base = (u64)target & ~((1ul << LEVEL_SHIFT(2)) - 1);
  u64 offset = (u64)target - base;
  *found = base | BLOCK | NORMAL | INNER | ACCESSED | USER | CONTIGUOUS | NOT_GLOBAL;
  invalidate();
  probe("block", WINDOW + offset);
  /* Invalidating one address of a block invalidates all of it. */
  *found = base | BLOCK | NORMAL | INNER | ACCESSED | READ_ONLY;
  asm volatile("dsb sy\ntlbi vae1, %0\ndsb sy\nisb" ::"r"((WINDOW + 2 * PAGE) >> 12) : "memory");
  probe("block that became read-only", WINDOW + offset);
  *found = before;
  invalidate();
}

/* Pages that say that they belong together, over all that may be together (DDI 0487, D8.7.1), and what is forgotten of them. */
static void contiguous(void)
{
  unsigned count = GRANULE == 12 ? 16 : GRANULE == 14 ? 128 : 32;
  u64 first = (u64)target & ~(count * PAGE - 1);
  for (unsigned n = 0; n < count; n++)
    *entry(root0, 48, WINDOW + n * PAGE, 3) = (first + n * PAGE) | PAGE_TYPE | NORMAL | INNER | ACCESSED | USER | CONTIGUOUS;
  invalidate();
  u64 offset = (u64)target - first;
  probe("contiguous", WINDOW + offset);
  check("first of them", load, WINDOW, 0);
  check("last of them", load, WINDOW + count * PAGE - 8, 0);
  check("behind them", load, WINDOW + count * PAGE, 0);
  probe_at("contiguous", WINDOW + offset);
  for (unsigned n = 0; n < count; n++) *entry(root0, 48, WINDOW + n * PAGE, 3) = 0;
  for (unsigned n = 0; n < count; n++)
    asm volatile("dsb sy\ntlbi vaae1, %0\ndsb sy\nisb" ::"r"((WINDOW + n * PAGE) >> 12) : "memory");
  check("gone", load, WINDOW + offset, 0);
}

/* Every form of TLBI at EL1 must invalidate a page that is then unmapped. */
#define form(name)                                                             \
  snippet(forget_##name, "dsb sy\ntlbi " #name ", x0\ndsb sy\nisb\nldr x0, [x1]")
form(vae1);
form(vale1);
form(vaae1);
form(vaale1);
form(aside1);
form(vae1is);
form(vale1is);
form(vaae1is);
form(vaale1is);
form(aside1is);
snippet(forget_vmalle1, "dsb sy\ntlbi vmalle1\ndsb sy\nisb\nldr x0, [x1]");
snippet(forget_vmalle1is, "dsb sy\ntlbi vmalle1is\ndsb sy\nisb\nldr x0, [x1]");

static void forgetting(void)
{
  static const struct { const char *name; void (*code)(void); int by_address, any_asid; } forms[] = {
    { "vae1", forget_vae1, 1, 0 }, { "vale1", forget_vale1, 1, 0 }, { "vaae1", forget_vaae1, 1, 1 },
    { "vaale1", forget_vaale1, 1, 1 }, { "aside1", forget_aside1, 0, 0 }, { "vae1is", forget_vae1is, 1, 0 },
    { "vale1is", forget_vale1is, 1, 0 }, { "vaae1is", forget_vaae1is, 1, 1 }, { "vaale1is", forget_vaale1is, 1, 1 },
    { "aside1is", forget_aside1is, 0, 0 }, { "vmalle1", forget_vmalle1, 0, 1 }, { "vmalle1is", forget_vmalle1is, 0, 1 },
  };
  u64 *leaf = entry(root0, 48, WINDOW, 3);
  u64 asid = 0x123;
  write_sysreg(ttbr0_el1, (u64)root0 | asid << 48);
  isb();
  for (unsigned i = 0; i < sizeof forms / sizeof forms[0]; i++) {
    u64 operand = (forms[i].by_address ? WINDOW >> 12 : 0) | (forms[i].any_asid ? 0 : asid << 48);
    *leaf = LEAF | USER | NOT_GLOBAL;
    invalidate();
    check("before", load, WINDOW + 128, 0);
    check("before, as a user", load_user, WINDOW + 128, 0);
    *leaf = 0;
    check(forms[i].name, forms[i].code, operand, WINDOW + 128);
    check("after, as a user", load_user, WINDOW + 128, 0);
    /* From unmapped to mapped: a fault is not cached. */
    *leaf = LEAF | USER | NOT_GLOBAL;
    asm volatile("dsb sy\nisb" ::: "memory");
    check("again", load, WINDOW + 128, 0);
  }
  write_sysreg(ttbr0_el1, (u64)root0);
  *leaf = 0;
  invalidate();
}

/* SCTLR_EL1.WXN: writable pages are not executable. The running code is made read-only, page by page. */
static void never_both(void)
{
  extern u8 text_end[];
  u64 *leaf = entry(root0, 48, WINDOW, 3);
  u64 *whole = entry(root0, 48, RAM, 2);
  u64 before = *whole;
  u64 *pages = new_table();
  for (unsigned n = 0; n < PAGE / 8; n++) {
    u64 at = RAM + n * PAGE;
    pages[n] = at | PAGE_TYPE | NORMAL | INNER | ACCESSED | UXN | (at < (u64)text_end ? READ_ONLY : 0);
  }
  *whole = (u64)pages | TABLE;
  invalidate();
  write_sysreg(sctlr_el1, read_sysreg(sctlr_el1) | 1ul << 19);
  isb();
  for (u64 bits = 0; bits < 4; bits++) {
    *leaf = LEAF | (bits & 1 ? USER : 0) | (bits & 2 ? READ_ONLY : 0);
    invalidate();
    begin("never both");
    print_hex(bits);
    probe("page", WINDOW);
  }
  write_sysreg(sctlr_el1, read_sysreg(sctlr_el1) & ~(1ul << 19));
  *whole = before;
  *leaf = 0;
  invalidate();
}

/* The size of the upper range: T1SZ. */
static void sizes(void)
{
  static const unsigned bits[] = { 48, 47, 42, 39, 36, 33, 30, 28, 26, 25 };
  for (unsigned i = 0; i < sizeof bits / sizeof bits[0]; i++) {
    unsigned used = pool_used;
    u64 *root = new_table();
    u64 lowest = -(1ul << bits[i]);
    u64 at = lowest + 3 * PAGE;
    *entry(root, bits[i], at, 3) = LEAF;
    *entry(root, bits[i], -PAGE, 3) = LEAF | USER;
    write_sysreg(tcr_el1, (TCR & ~(63ul << 16)) | (u64)(64 - bits[i]) << 16);
    write_sysreg(ttbr1_el1, (u64)root);
    invalidate();
    begin("size");
    print_hex(bits[i]);
    check("in range", load, at + 128, 0);
    check("last page", load, -PAGE + 128, 0);
    check("last page, last word", load, -8, 0);
    check("not mapped", load, lowest + 4 * PAGE, 0);
    check("below the range", load, lowest - 8, 0);
    check("far below the range", load, 0xff7ffffffffff000, 0);
    check("execute", call, at, 0);
    check("execute below the range", call, lowest - 8, 0);
    user_view(user_load, -PAGE + 128, 0, "el0 last page");
    user_view(user_load, at, 0, "el0 in range");
    pool_used = used;
  }
  /* Walks disabled, and a table outside memory. */
  write_sysreg(tcr_el1, TCR | 1 << 23);
  invalidate();
  check("walks are off", load, -PAGE + 128, 0);
  write_sysreg(tcr_el1, TCR);
  write_sysreg(ttbr1_el1, NOWHERE);
  invalidate();
  check("table is nowhere", load, -PAGE + 128, 0);
  check("execute, table is nowhere", call, -PAGE, 0);
  write_sysreg(ttbr1_el1, 1ul << 44);
  invalidate();
  check("table is beyond the physical addresses", load, -PAGE + 128, 0);
  /* 32 bits of physical address. */
  write_sysreg(tcr_el1, TCR & ~(7ul << 32));
  u64 *leaf = entry(root0, 48, WINDOW, 3);
  *leaf = (1ul << 32) | PAGE_TYPE | NORMAL | ACCESSED;
  invalidate();
  check("beyond 32 bits", load, WINDOW, 0);
  *leaf = 0;
  write_sysreg(tcr_el1, TCR);
  write_sysreg(ttbr1_el1, (u64)empty);
  invalidate();
  check("above 48 bits", load, 0x0001000000000000, 0);
  check("above 48 bits, execute", call, 0x0001000000000000, 0);
}

static void tags(void)
{
  u64 *leaf = entry(root0, 48, WINDOW, 3);
  *leaf = LEAF | USER | READ_ONLY;
  invalidate();
  u64 tagged = WINDOW | 0xa5ul << 56;
  check("tag refused", load, tagged + 128, 0);
  check("tag refused, execute", call, tagged, 0);
  write_sysreg(tcr_el1, TCR | 1ul << 37 | 1ul << 38);
  invalidate();
  check("tag ignored", load, tagged + 128, 0);
  check("tag ignored on a fault", store, tagged + 128, 0);
  check("tag ignored, not mapped", load, tagged + PAGE, 0);
  check("tag ignored, execute", call, tagged, 0);
  check("tag ignored, execute what is not mapped", call, tagged + PAGE, 0);
  check("upper range with a tag", load, 0x12ffffffffff0000, 0);
  user_view(user_call, tagged + 64, 0, "el0 executes with a tag");
  write_sysreg(tcr_el1, TCR);
  *leaf = 0;
  invalidate();
}

/* Accesses that cross into an unmapped page. */
static void across(void)
{
  u64 *first = entry(root0, 48, WINDOW, 3);
  u64 *second = entry(root0, 48, WINDOW + PAGE, 3);
  u64 end = WINDOW + PAGE;
  *first = LEAF;
  *second = 0;
  invalidate();
  fill_target();
  check("load across", load, end - 4, 0);
  check("store across", store, end - 5, -1ul);
  begin("left");
  print_hex(*(u64 *)(target + PAGE - 8));
  check("pair across", load_pair, end - 8, 0);
  check("store pair across", store_pair, end - 8, -1ul);
  check("vector across", load_vector, end - 8, 0);
  check("load into the page", load, end - PAGE - 4, 0);
  *second = (LEAF + PAGE) | READ_ONLY;
  invalidate();
  fill_target();
  check("load across", load, end - 4, 0);
  check("store across to read-only", store, end - 3, -1ul);
  begin("left");
  print_hex(*(u64 *)(target + PAGE - 8));
  *second = LEAF + PAGE;
  invalidate();
  check("store across", store, end - 3, 0x8877665544332211);
  check("load across", load, end - 5, 0);
  check("pair across", load_pair, end - 4, 0);
  check("vector store across", store_vector, end - 7, 0);
  begin("left");
  print_hex(*(u64 *)(target + PAGE - 8));
  print(" ");
  print_hex(*(u64 *)(target + PAGE));
  *first = *second = 0;
  invalidate();
}

/* Other accesses to unmapped and read-only pages. */
static void kinds(void)
{
  u64 *leaf = entry(root0, 48, WINDOW, 3);
  for (int i = 0; i < 2; i++) {
    *leaf = i == 0 ? 0 : LEAF | READ_ONLY;
    invalidate();
    begin(i == 0 ? "nothing there" : "read-only");
    check("pair", load_pair, WINDOW + 128, 0);
    check("store pair", store_pair, WINDOW + 128, 0);
    check("exclusive", load_exclusive, WINDOW + 128, 0);
    check("store exclusive", store_exclusive, WINDOW + 128, 0);
    check("misaligned exclusive", load_exclusive, WINDOW + 129, 0);
    check("ordered", load_ordered, WINDOW + 128, 0);
    check("vector", load_vector, WINDOW + 130, 0);
    check("vector store", store_vector, WINDOW + 130, 0);
    check("with writeback", load_writeback, WINDOW + 128, 0);
    check("dc zva", clear_block, WINDOW + 200, 0);
    check("prefetch", prefetch, WINDOW + 128, 0);
    user_view(user_clear_block, WINDOW + 70, 0, "el0 dc zva");
  }
  /* A10: alignment is checked everywhere. */
  *leaf = LEAF;
  invalidate();
  write_sysreg(sctlr_el1, read_sysreg(sctlr_el1) | 2);
  isb();
  check("checked load", load, WINDOW + 129, 0);
  check("checked store", store, WINDOW + 130, 0);
  check("checked pair", load_pair, WINDOW + 132, 0);
  check("checked vector", load_vector, WINDOW + 136, 0);
  check("aligned load", load, WINDOW + 128, 0);
  write_sysreg(sctlr_el1, read_sysreg(sctlr_el1) & ~2ul);
  isb();
  check("unchecked load", load, WINDOW + 129, 0);
  check("dc zva", clear_block, WINDOW + 200, 0);
  check("cleared", load, WINDOW + 248, 0);
  *leaf = (LEAF & ~ATTRIBUTES(7)) | ATTRIBUTES(2);
  invalidate();
  check("not cacheable", load, WINDOW + 129, 0);
  probe_at("not cacheable", WINDOW);
  *leaf = (LEAF & ~ATTRIBUTES(7)) | DEVICE;
  invalidate();
  check("device", load, WINDOW + 128, 0);
  probe_at("device", WINDOW);
  *leaf = 0;
  invalidate();
}

/* Two address spaces by ASID, over one page that is in both and one that differs. */
static void address_spaces(void)
{
  static u8 pages[2][65536] __attribute__((aligned(65536)));
  u64 *roots[2];
  u64 *tables[2];
  for (int i = 0; i < 2; i++) {
    roots[i] = new_table();
    for (unsigned n = 0; n < PAGE / 8; n++) roots[i][n] = root0[n];
    /* Each address space has its own tables for the window. */
    *entry(roots[i], 48, WINDOW, start_level(48)) = 0;
    tables[i] = entry(roots[i], 48, WINDOW, 3);
    *tables[i] = (u64)pages[i] | PAGE_TYPE | NORMAL | INNER | ACCESSED | NOT_GLOBAL | USER;
    *(u64 *)pages[i] = 0x1111 * (i + 1);
  }
  u64 at = WINDOW;
  for (int round = 0; round < 6; round++) {
    for (int i = 0; i < 2; i++) {
      write_sysreg(ttbr0_el1, (u64)roots[i] | (u64)(7 + i) << 48);
      isb();
      check("space", load, at, 0);
      check("ldtr", load_user, at, 0);
      user_view(user_store, at, 0x100 * round + i, "el0 store");
      check("stored", load, at, 0);
    }
  }
  /* The second's page is taken away; only its ASID is invalidated. */
  *tables[1] = 0;
  asm volatile("dsb sy\ntlbi aside1, %0\ndsb sy\nisb" ::"r"(8ul << 48) : "memory");
  check("gone", load, at, 0);
  user_view(user_load, at, 0, "el0 gone");
  write_sysreg(ttbr0_el1, (u64)roots[0] | 7ul << 48);
  isb();
  check("still there", load, at, 0);
  /* The first's by address, from all CPUs. */
  *tables[0] = (u64)pages[1] | PAGE_TYPE | NORMAL | INNER | ACCESSED | NOT_GLOBAL | USER;
  asm volatile("dsb sy\ntlbi vale1is, %0\ndsb sy\nisb" ::"r"(7ul << 48 | at >> 12) : "memory");
  check("another page", load, at, 0);
  user_view(user_load, at, 0, "el0 another page");
  /* ASIDs from TTBR1. */
  write_sysreg(tcr_el1, TCR | 1 << 22);
  write_sysreg(ttbr1_el1, (u64)empty | 9ul << 48);
  invalidate();
  check("by TTBR1's ASID", load, at, 0);
  *tables[0] = (u64)pages[0] | PAGE_TYPE | NORMAL | INNER | ACCESSED | NOT_GLOBAL | USER;
  asm volatile("dsb sy\ntlbi aside1is, %0\ndsb sy\nisb" ::"r"(9ul << 48) : "memory");
  check("by TTBR1's ASID", load, at, 0);
  write_sysreg(tcr_el1, TCR);
  write_sysreg(ttbr1_el1, (u64)empty);
  write_sysreg(ttbr0_el1, (u64)root0);
  invalidate();
}

/* Code written through another mapping than it runs at. */
static void aliased_code(void)
{
  u64 *leaf = entry(root0, 48, WINDOW, 3);
  *leaf = LEAF | READ_ONLY;
  invalidate();
  fill_target();
  u64 sum = 0;
  for (u32 n = 0; n < 200; n++) {
    *(volatile u32 *)target = 0xd2800000 | n << 5;
    asm volatile("dc cvau, %0\ndsb ish\nic ivau, %1\ndsb ish\nisb" ::"r"(target), "r"(WINDOW) : "memory");
    sum = sum * 31 + try_code((void *)WINDOW, 0, 0);
  }
  begin("code written elsewhere");
  print_hex(sum);
  *leaf = 0;
  invalidate();
}

void test_main(void)
{
  translate_on();
  fill_target();
  permissions();
  never_both();
  faults();
  blocks();
  contiguous();
  forgetting();
  sizes();
  tags();
  across();
  kinds();
  address_spaces();
  aliased_code();
  end_line();
}
