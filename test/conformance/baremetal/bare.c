/* See bare.h. */
#include "bare.h"

#define UART ((volatile u32 *)0x09000000)

extern u8 try_end[];
void enter_el0(void *code, u64 a, u64 b);

u64 exceptions;
u64 quiet_class = ~0ul;
int quiet;

static void print_char(char c) { *UART = (u32)c; }

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

void begin(const char *what)
{
  end_line();
  print(what);
  print(": ");
}

/* The vectors with an ESR: the synchronous ones. */
static int is_synchronous(u64 kind) { return (kind & 3) == 0; }

/* Exception classes with a fault address: aborts and misaligned pc. */
static int has_address(u64 class) { return class == 0x20 || class == 0x21 || class == 0x22 || class == 0x24 || class == 0x25; }

/* Prints the exception and ends the tested code; SVC #0xfffe continues it instead. */
void on_exception(u64 kind, u64 *frame)
{
  u64 esr = read_sysreg(esr_el1);
  (void)frame;
  if (is_synchronous(kind) && esr == 0x5600ffff) {
    write_sysreg(elr_el1, try_end);
    write_sysreg(spsr_el1, 0x3c5);
    return;
  }
  exceptions++;
  if (quiet) {
    quiet_class = is_synchronous(kind) ? esr >> 26 : ~0ul;
    write_sysreg(elr_el1, try_end);
    write_sysreg(spsr_el1, 0x3c5);
    return;
  }
  print_field("vector", kind);
  print_field("spsr", read_sysreg(spsr_el1));
  print_field("elr", read_sysreg(elr_el1));
  if (is_synchronous(kind)) {
    print_field("esr", esr);
    if (has_address(esr >> 26)) print_field("far", read_sysreg(far_el1));
    if (esr == 0x5600fffe) return;
  }
  write_sysreg(elr_el1, try_end);
  write_sysreg(spsr_el1, 0x3c5);
}

void try_el0(void *code, u64 a, u64 b)
{
  /* Enters EL0 within a call that any exception ends. */
  struct { void *code; u64 a, b; } request = { code, a, b };
  extern void enter_requested(u64, u64);
  try_code((void *)enter_requested, (u64)&request, 0);
}

asm(".pushsection .text\n.global enter_requested\nenter_requested:\n"
    "ldp x3, x1, [x0]\nldr x2, [x0, #16]\nmov x0, x3\nb enter_el0\n.popsection\n");

void check(const char *what, void (*code)(void), u64 a, u64 b)
{
  exceptions = 0;
  begin(what);
  u64 result = try_code((void *)code, a, b);
  if (exceptions == 0) print_field("x0", result);
}

void check_el0(const char *what, void (*code)(void), u64 a, u64 b)
{
  exceptions = 0;
  begin(what);
  try_el0((void *)code, a, b);
  if (exceptions == 0) print("fine");
}
