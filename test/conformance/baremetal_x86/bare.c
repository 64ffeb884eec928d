/* See bare.h. */
#include "bare.h"

extern u64 gdt_image[], first_root[], try_stack;
extern u8 end[], user_stack_top[];

u64 exceptions;
int (*hook)(struct frame *frame);
struct gate idt[256];
struct tss tss;
u64 *root = first_root;

static void print_char(char c) { out8(0xe9, (u8)c); }

void print(const char *text)
{
  while (*text) print_char(*text++);
}

void print_hex(u64 value)
{
  int shift = 60;
  while (shift > 0 && (value >> shift) == 0) shift -= 4;
  for (; shift >= 0; shift -= 4) print_char("0123456789abcdef"[(value >> shift) & 15]);
}

void print_field(const char *name, u64 value)
{
  print(name);
  print_char('=');
  print_hex(value);
  print_char(' ');
}

void end_line(void) { print_char('\n'); }

const char *subject;

void begin(const char *what)
{
  end_line();
  if (subject != 0) {
    print(subject);
    print(", ");
  }
  print(what);
  print(": ");
}

void *memory_set(void *at, int byte, u64 count)
{
  u8 *to = at;
  while (count-- > 0) {
    *to++ = (u8)byte;
    asm volatile("" ::: "memory");
  }
  return at;
}

static const char *const names[] = {
  "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "9", "#TS", "#NP", "#SS", "#GP", "#PF", "15", "#MF", "#AC", "#MC", "#XM",
};

static int has_error(u64 vector) { return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17; }

void print_frame(struct frame *frame)
{
  if (frame->vector < sizeof(names) / sizeof(names[0])) print(names[frame->vector]);
  else print_field("vector", frame->vector);
  if (has_error(frame->vector)) {
    print_char('(');
    print_hex(frame->error);
    print_char(')');
  }
  print_char(' ');
  if (frame->vector == 14) print_field("cr2", read_reg(cr2));
  print_field("rip", frame->rip);
  if (frame->cs != SEL_CODE) print_field("cs", frame->cs);
  if (frame->ss != SEL_DATA) print_field("ss", frame->ss);
  /* Flags but for RF, which QEMU does not save, and those of arithmetic. */
  if ((frame->rflags & ~0x108d5ul) != 2) print_field("flags", frame->rflags & ~0x108d5ul);
}

void end_by(struct frame *frame)
{
  frame->rip = (u64)try_end;
  frame->cs = SEL_CODE;
  frame->rflags = 2;
  frame->ss = SEL_DATA;
  frame->rsp = try_stack;
}

/* Prints the exception and ends the tested code. */
void on_exception(struct frame *frame)
{
  if (frame->vector == 0x80) {
    end_by(frame);
    return;
  }
  exceptions++;
  if (hook != 0 && hook(frame)) return;
  print_frame(frame);
  end_by(frame);
}

void check(const char *what, void (*code)(void), u64 a, u64 b)
{
  exceptions = 0;
  begin(what);
  u64 result = try_code((void *)code, a, b);
  if (exceptions == 0) print_field("rax", result);
}

void check_user(const char *what, void (*code)(void), u64 a, u64 b)
{
  exceptions = 0;
  begin(what);
  u64 result = try_user((void *)code, a, b);
  if (exceptions == 0) print_field("rax", result);
}

void set_gate(int vector, void *entry, u16 selector, u8 type, u8 ist)
{
  u64 at = (u64)entry;
  idt[vector] = (struct gate){ (u16)at, selector, ist, type, (u16)(at >> 16), (u32)(at >> 32), 0 };
}

void reset_gate(int vector) { set_gate(vector, vector_entries + 16 * vector, SEL_CODE, 0x8e, 0); }

static u8 *next_table;

u64 *new_table(void)
{
  u64 *made = (u64 *)next_table;
  next_table += 4096;
  return memory_set(made, 0, 4096);
}

u64 *entry_of(u64 address, int level)
{
  u64 *table = root;
  for (int at = 4; at > level; at--)
    table = (u64 *)(table[(address >> (12 + 9 * (at - 1))) & 511] & 0xfffffff000);
  return &table[(address >> (12 + 9 * (level - 1))) & 511];
}

u64 *map_page(u64 address, u64 entry, int level)
{
  for (int at = 4; at > level; at--) {
    u64 *above = entry_of(address, at);
    if ((*above & P) == 0) *above = (u64)new_table() | P | W | U;
  }
  u64 *own = entry_of(address, level);
  *own = entry;
  return own;
}

void flush_all(void)
{
  u64 cr4 = read_reg(cr4);
  write_reg(cr4, cr4 & ~0x80ul);
  write_reg(cr4, cr4);
}

void power_off(void)
{
  end_line();
  out8(0xf4, 0);
  for (;;) asm volatile("cli; hlt");
}

void start_main(void)
{
  next_table = end;
  for (int vector = 0; vector < 256; vector++) reset_gate(vector);
  set_gate(0x80, vector_entries + 16 * 0x80, SEL_CODE, 0xee, 0);
  struct { u16 limit; void *base; } __attribute__((packed)) image = { sizeof(idt) - 1, idt };
  asm volatile("lidt %0" ::"m"(image));
  u64 base = (u64)&tss;
  tss.rsp[0] = (u64)kernel_stack_top;
  tss.ist[0] = (u64)ist_stack_top;
  tss.ist[1] = (u64)other_stack_top;
  tss.map = 104;
  memory_set(tss.bits, 0xff, sizeof(tss.bits));
  descriptor(SEL_TSS) = (sizeof(tss) - 1) | (base & 0xffffff) << 16 | 0x89ul << 40 | (base >> 24 & 0xff) << 56;
  descriptor(SEL_TSS + 8) = base >> 32;
  asm volatile("ltr %0" ::"r"((u16)SEL_TSS));
  test_main();
  power_off();
}
