/* Paging in 64-bit mode: rights, marks, reserved bits, sizes, what a flush drops, and accesses and code across pages. */
#include "bare.h"

/* A range of addresses of our own, and a page of memory of 2 MiB: a RET at its start, INT 0x80 at 16. */
#define BASE 0x8000000000ul
#define MEMORY 0x200000ul

static u64 fault_vector, fault_error, fault_address, fault_rip;

static int note(struct frame *frame)
{
  fault_vector = frame->vector;
  fault_error = frame->error;
  fault_address = read_reg(cr2);
  fault_rip = frame->rip;
  end_by(frame);
  return 1;
}

snippet(load, "mov (%rdi), %al");
snippet(store, "movb $0x11, 32(%rdi)");
snippet(fetch, "call *%rdi");
snippet(exchange, "lock addl $0, 32(%rdi)");
snippet(compare, "xor %eax, %eax\nmov $1, %ecx\nlock cmpxchg %ecx, 32(%rdi)");
user_snippet(user_load, "mov (%rdi), %al");
user_snippet(user_store, "movb $0x11, 32(%rdi)");
user_snippet(user_fetch, "add $16, %rdi\njmp *%rdi");

/* Tries an access and prints its error code, or a dash. */
static void attempt(const char *name, void (*code)(void), int user, u64 address)
{
  fault_vector = 0;
  if (user) try_user((void *)code, address, 0);
  else try_code((void *)code, address, 0);
  print(name);
  if (fault_vector == 0) print("- ");
  else if (fault_vector == 14) {
    print_hex(fault_error);
    if (fault_address - address > 32) print("! ");
    print(" ");
  } else print_field("vector", fault_vector);
}

static void attempts(u64 address)
{
  attempt("r", load, 0, address);
  attempt("w", store, 0, address);
  attempt("x", fetch, 0, address);
  attempt("ur", user_load, 1, address);
  attempt("uw", user_store, 1, address);
  attempt("ux", user_fetch, 1, address);
}

/* The marks of the entries of an address, from the table of level 4 on. */
static void marks(u64 address, int level)
{
  print("marks=");
  for (int at = 4; at >= level; at--) print_hex((*entry_of(address, at) & (A | D)) >> 5);
  print(" ");
}

static void clear_marks(u64 address, int level)
{
  for (int at = 4; at >= level; at--) *entry_of(address, at) &= ~(u64)(A | D);
  flush_all();
}

static const char *const level_names[] = { "", "4 KiB", "2 MiB", "1 GiB" };
static u64 address_of(int level) { return BASE + ((u64)level << 34) + (level == 3 ? MEMORY : 0); }
static u64 entry_for(int level) { return (level == 3 ? 0 : MEMORY) | (level == 1 ? 0 : PS); }

static void rights(void)
{
  static const u64 bits[] = { 0, P, P | W, P | U, P | W | U, P | NX, P | W | U | NX };
  for (int wp = 0; wp < 2; wp++) {
    for (int level = 1; level <= 3; level++) {
      u64 address = address_of(level);
      for (unsigned index = 0; index < sizeof(bits) / sizeof(bits[0]); index++) {
        map_page(address, entry_for(level) | bits[index], level);
        flush_all();
        u64 cr0 = read_reg(cr0);
        write_reg(cr0, wp ? cr0 : cr0 & ~0x10000ul);
        begin(level_names[level]);
        print_field("bits", bits[index] & 15);
        print_field("nx", bits[index] >> 63);
        print_field("wp", (u64)wp);
        attempts(address);
        write_reg(cr0, cr0);
      }
    }
  }
  /* Rights of the tables above. */
  subject = "above";
  u64 address = address_of(1);
  map_page(address, entry_for(1) | P | W | U, 1);
  for (int at = 4; at > 1; at--) {
    for (unsigned index = 0; index < sizeof(bits) / sizeof(bits[0]); index++) {
      u64 *entry = entry_of(address, at), before = *entry;
      *entry = (before & ~(NX | 7)) | bits[index];
      flush_all();
      begin("level");
      print_field("", (u64)at);
      print_field("bits", bits[index] & 15);
      print_field("nx", bits[index] >> 63);
      attempts(address);
      *entry = before;
    }
  }
  subject = 0;
}

static void marking(void)
{
  subject = "marks";
  for (int level = 1; level <= 3; level++) {
    static const struct { const char *name; void (*code)(void); int user; } ways[] = {
      { "load", load, 0 }, { "store", store, 0 }, { "fetch", fetch, 0 }, { "locked", exchange, 0 }, { "compare", compare, 0 },
      { "user load", user_load, 1 }, { "user store", user_store, 1 },
    };
    static const u64 bits[] = { P | W | U, P | U, P | W, P | W | U | NX, 0 };
    u64 address = address_of(level);
    for (unsigned index = 0; index < sizeof(bits) / sizeof(bits[0]); index++) {
      for (unsigned way = 0; way < sizeof(ways) / sizeof(ways[0]); way++) {
        map_page(address, entry_for(level) | bits[index], level);
        clear_marks(address, level);
        begin(level_names[level]);
        print_field("bits", (bits[index] & 15) | bits[index] >> 59);
        attempt(ways[way].name, ways[way].code, ways[way].user, address);
        marks(address, level);
      }
    }
    /* A store behind a load sets the mark too. */
    map_page(address, entry_for(level) | P | W | U, level);
    clear_marks(address, level);
    begin(level_names[level]);
    attempt("load", load, 0, address);
    marks(address, level);
    attempt("store", store, 0, address);
    marks(address, level);
    /* A mark that was cleared behind the back of the TLB comes back only by a walk. */
    *entry_of(address, level) &= ~(u64)D;
    attempt("store again", store, 0, address);
    asm volatile("invlpg (%0)" ::"r"(address) : "memory");
    attempt("store behind invlpg", store, 0, address);
    marks(address, level);
  }
  subject = 0;
}

static void reserved(void)
{
  subject = "reserved";
  u64 efer = read_msr(MSR_EFER);
  for (int level = 1; level <= 3; level++) {
    u64 address = address_of(level);
    for (int at = 4; at >= level; at--) {
      for (int bit = 7; bit < 64; bit++) {
        /* Bits that have a meaning, or are ignored. */
        if (bit > 12 && bit < 30 && at > level) continue;
        if (bit >= 13 && bit < 21 && at == level && level == 1) continue;
        if (bit >= 21 && bit < 40) continue;
        if (bit == 7 && at > level && at < 4) continue;
        if (bit == 7 && at == level && level > 1) continue;
        if (bit >= 9 && bit <= 12) continue;
        if (bit == 63) continue;
        map_page(address, entry_for(level) | P | W | U, level);
        u64 *entry = entry_of(address, at), before = *entry;
        *entry = before ^ 1ul << bit;
        flush_all();
        fault_vector = 0;
        try_code((void *)load, address, 0);
        if (fault_vector != 0) {
          begin(level_names[level]);
          print_field("at", (u64)at);
          print_field("bit", (u64)bit);
          print_field("error", fault_error);
          attempt("w", store, 0, address);
          attempt("ur", user_load, 1, address);
          attempt("ux", user_fetch, 1, address);
        }
        *entry = before;
      }
    }
    /* Bit 63 without NXE, and with it. */
    for (int nxe = 0; nxe < 2; nxe++) {
      write_msr(MSR_EFER, nxe ? efer : efer & ~0x800ul);
      for (int at = 4; at >= level; at--) {
        u64 *entry = entry_of(address, at), before = *entry;
        *entry = before | NX;
        flush_all();
        begin(level_names[level]);
        print_field("nxe", (u64)nxe);
        print_field("nx at", (u64)at);
        attempts(address);
        *entry = before;
      }
      flush_all();
      begin(level_names[level]);
      print_field("nxe", (u64)nxe);
      attempt("missing", fetch, 0, BASE + 0x7000000000);
    }
    write_msr(MSR_EFER, efer);
  }
  subject = 0;
}

/* What is still there behind a flush, of a page whose entry was cleared. The CPU may have dropped it earlier; it does not here. */
static void flushes(void)
{
  subject = "flush";
  static const char *const names[] = { "invlpg", "cr3", "cr4.pge", "cr0.wp", "efer", "invlpg of another page" };
  for (int way = 0; way < 6; way++) {
    for (int global = 0; global < 2; global++) {
      u64 address = address_of(1);
      u64 *entry = map_page(address, entry_for(1) | P | W | U | (global ? G : 0), 1);
      flush_all();
      *(volatile u8 *)address;
      *entry = 0;
      u64 cr0 = read_reg(cr0);
      switch (way) {
      case 0: asm volatile("invlpg (%0)" ::"r"(address + 5) : "memory"); break;
      case 1: write_reg(cr3, read_reg(cr3)); break;
      case 2: flush_all(); break;
      case 3: write_reg(cr0, cr0 & ~0x10000ul); write_reg(cr0, cr0); break;
      case 4: write_msr(MSR_EFER, read_msr(MSR_EFER) ^ 0x800); write_msr(MSR_EFER, read_msr(MSR_EFER) ^ 0x800); break;
      default: asm volatile("invlpg (%0)" ::"r"(address + 0x1000) : "memory");
      }
      begin(names[way]);
      print_field("global", (u64)global);
      /* A global translation must be dropped by these only. */
      if (way == 0 || way == 2 || (way == 1 && !global)) attempt("r", load, 0, address);
    }
  }
  /* A large page is dropped as a whole, by any address of it. */
  for (int level = 2; level <= 3; level++) {
    u64 address = address_of(level) & ~(level == 2 ? 0x1ffffful : 0x3ffffffful);
    u64 *entry = map_page(address, entry_for(level) | P | W | U | G, level);
    flush_all();
    for (u64 at = 0; at < 0x10000; at += 0x1000) *(volatile u8 *)(address + MEMORY * (u64)(level == 3) + at);
    *entry = 0;
    asm volatile("invlpg (%0)" ::"r"(address + (level == 2 ? 0x1ff000 : 0x3ffff000)) : "memory");
    begin(level_names[level]);
    attempt("first", load, 0, address + MEMORY * (u64)(level == 3));
    attempt("another", load, 0, address + MEMORY * (u64)(level == 3) + 0x5000);
  }
  /* An entry with more rights needs no flush: the walk is made again. */
  u64 address = address_of(1);
  u64 *entry = map_page(address, entry_for(1) | P, 1);
  flush_all();
  *(volatile u8 *)address;
  begin("read-only");
  attempt("w", store, 0, address);
  *entry |= W | U;
  begin("writable without a flush");
  attempt("w", store, 0, address);
  attempt("ur", user_load, 1, address);
  subject = 0;
}

snippet(load8_at, "mov (%rdi), %rax");
snippet(store8_at, "movabs $0x1122334455667788, %rax\nmov %rax, (%rdi)");
snippet(push_at, "mov %rsp, %rcx\nmov %rdi, %rsp\npush $0x77\nmov %rcx, %rsp");
snippet(movs_at, "mov %rdi, %rsi\nlea 0x100(%rdi), %rdi\nmov $16, %ecx\nrep movsq\nmov %rcx, %rax");
snippet(stos_at, "mov $0x5a, %al\nmov $0x2000, %ecx\nrep stosb\nmov %rcx, %rax");
snippet(exchange_at, "lock addq $1, (%rdi)");
snippet(call_at, "call *%rdi");
snippet(movups_at, "movups (%rdi), %xmm0\nmovups %xmm0, (%rdi)");
snippet(fxsave_at, "fxsave (%rdi)");

/* Address 0, which a compiler takes for no object. */
static volatile u64 zero;

static void across(void)
{
  subject = "across";
  u64 address = BASE + 0x100000;
  u64 cr4 = read_reg(cr4);
  write_reg(cr4, cr4 | 0x600);
  for (int vector = 12; vector <= 14; vector++) set_gate(vector, vector_entries + 16 * vector, SEL_CODE, 0x8e, 1);
  static const struct { const char *name; u64 first, second; } pairs[] = {
    { "both", P | W, P | W }, { "no second", P | W, 0 }, { "no first", 0, P | W }, { "neither", 0, 0 }, { "read-only second", P | W, P },
    { "read-only first", P, P | W }, { "never executed second", P | W, P | W | NX },
  };
  static const struct { const char *name; void (*code)(void); u64 offset; } ways[] = {
    { "load", load8_at, 0xffc }, { "store", store8_at, 0xffc }, { "locked", exchange_at, 0xffd }, { "push", push_at, 0x1004 },
    { "call", call_at, 0xffe }, { "movups", movups_at, 0xff8 }, { "fxsave", fxsave_at, 0xf00 },
    { "movs", movs_at, 0xec0 }, { "stos", stos_at, 0xff0 },
  };
  for (unsigned index = 0; index < sizeof(pairs) / sizeof(pairs[0]); index++) {
    for (unsigned way = 0; way < sizeof(ways) / sizeof(ways[0]); way++) {
      /* mov $0x11223344, %eax; ret at 0xffe. The memory is not in order. */
      memory_set((void *)MEMORY, 0, 0x6000);
      static const u8 code[] = { 0xb8, 0x44, 0x33, 0x22, 0x11, 0xc3 };
      for (unsigned at = 0; at < sizeof(code); at++) ((u8 *)MEMORY)[at < 2 ? 0x5ffe + at : at - 2] = code[at];
      map_page(address, (MEMORY + 0x5000) | pairs[index].first, 1);
      map_page(address + 0x1000, MEMORY | pairs[index].second, 1);
      map_page(address + 0x2000, (MEMORY + 0x3000) | P | W, 1);
      flush_all();
      begin(pairs[index].name);
      print(ways[way].name);
      print(" ");
      fault_vector = 0;
      u64 result = try_code((void *)ways[way].code, address + ways[way].offset, 0);
      if (fault_vector == 14) {
        print_field("error", fault_error);
        print_field("cr2", fault_address);
      } else if (fault_vector != 0) print_field("vector", fault_vector);
      else if (way != 6) print_field("rax", result);
      print_field("first", *(u64 *)(MEMORY + 0x5ff8));
      print_field("second", *(u64 *)MEMORY);
      print_field("marks", (*entry_of(address, 1) & 0x60) | (*entry_of(address + 0x1000, 1) & 0x60) << 4);
    }
  }
  write_reg(cr4, cr4);
  for (int vector = 12; vector <= 14; vector++) reset_gate(vector);
  memory_set((void *)zero, 0, 4096);
  /* From the last page below the hole, and from the last of all to the first. */
  map_page(0x7ffffffff000, MEMORY | P | W, 1);
  map_page(0xfffffffffffff000, MEMORY | P | W, 1);
  flush_all();
  hook = 0;
  check("load over the end of all", load8_at, 0xfffffffffffffffc, 0);
  check("store over the end of all", store8_at, 0xfffffffffffffffc, 0);
  *(u8 *)(MEMORY + 0xfff) = 0x90;
  check("fetch over the end of the lower half", call_at, 0x7fffffffffff, 0);
  hook = note;
  subject = 0;
}

/* Other tables of level 4: the same address leads elsewhere. */
static void spaces(void)
{
  subject = "spaces";
  u64 address = address_of(1);
  u64 *other = new_table(), *first = root;
  for (int at = 0; at < 512; at++) other[at] = root[at];
  map_page(address, MEMORY | P | W | U, 1);
  *(volatile u64 *)MEMORY = 0x1111;
  *(volatile u64 *)(MEMORY + 0x1000) = 0x2222;
  root = other;
  other[(address >> 39) & 511] = 0;
  map_page(address, (MEMORY + 0x1000) | P | W | U, 1);
  for (int round = 0; round < 3; round++) {
    write_reg(cr3, first);
    begin("first");
    print_field("", *(volatile u64 *)address);
    write_reg(cr3, other);
    begin("second");
    print_field("", *(volatile u64 *)address);
  }
  write_reg(cr3, first);
  root = first;
  subject = 0;
}

/* Order: what comes first, the segment, the address, alignment, or the page. */
snippet(movaps_at, "movaps (%rdi), %xmm0");
snippet(div_at, "xor %edx, %edx\nmov $1, %eax\ndivl (%rdi)");
snippet(in_at, "mov $0x80, %edx\ninsb");
snippet(cmpxchg8b_at, "cmpxchg8b (%rdi)");
snippet(pop_at, "push $5\npop (%rdi)");
snippet(pop_rsp_at, "mov %rsp, %rcx\nmov %rdi, %rsp\npop %rsp\nmov %rsp, %rax\nmov %rcx, %rsp");
snippet(xlat_at, "mov %rdi, %rbx\nxor %eax, %eax\nxlat");
snippet(enter_at, "mov %rsp, %rcx\npush %rbp\nmov %rdi, %rsp\nenter $16, $0\nmov %rsp, %rax\nlea -8(%rcx), %rsp\npop %rbp");
snippet(leave_at, "mov %rsp, %rcx\npush %rbp\nmov %rdi, %rbp\nleave\nmov %rsp, %rax\nlea -8(%rcx), %rsp\npop %rbp");
snippet(iret_at, "mov %rdi, %rsp\niretq");
snippet(lret_at, "mov %rdi, %rsp\nlretq");

static void order(void)
{
  subject = "order";
  hook = 0;
  u64 missing = BASE + 0x200000, cr4 = read_reg(cr4);
  write_reg(cr4, cr4 | 0x600);
  map_page(missing, 0, 1);
  map_page(missing + 0x1000, MEMORY | P | W, 1);
  memory_set((void *)MEMORY, 0, 4096);
  for (int vector = 12; vector <= 14; vector++) set_gate(vector, vector_entries + 16 * vector, SEL_CODE, 0x8e, 1);
  check("misaligned and missing", movaps_at, missing + 8, 0);
  check("divide by what is missing", div_at, missing, 0);
  check("divide by zero", div_at, missing + 0x1000, 0);
  check("ins to a missing page", in_at, missing, 0);
  check("cmpxchg8b of a missing page", cmpxchg8b_at, missing, 0);
  check("pop to a missing page", pop_at, missing, 0);
  check("pop rsp from a missing page", pop_rsp_at, missing, 0);
  check("pop rsp", pop_rsp_at, missing + 0x1000, 0);
  check("xlat", xlat_at, missing, 0);
  check("enter on a missing page", enter_at, missing + 0x1000, 0);
  check("enter", enter_at, missing + 0x1800, 0);
  check("enter over the end of a page", enter_at, missing + 0x1010, 0);
  check("leave from a missing page", leave_at, missing + 8, 0);
  check("iret from a missing page", iret_at, missing + 0xff0, 0);
  check("iret that reads into a missing page", iret_at, missing + 0x1ff0, 0);
  check("lret from a missing page", lret_at, missing, 0);
  for (int vector = 12; vector <= 14; vector++) reset_gate(vector);
  write_reg(cr4, cr4);
  hook = note;
  subject = 0;
}

void test_main(void)
{
  memory_set((void *)MEMORY, 0, 0x10000);
  *(volatile u8 *)MEMORY = 0xc3;
  *(volatile u16 *)(MEMORY + 16) = 0x80cd;
  hook = note;
  rights();
  marking();
  reserved();
  flushes();
  spaces();
  across();
  order();
}
