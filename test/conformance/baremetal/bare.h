/* Shared by the bare-metal tests: output on a UART, reports of exceptions, and calls of the code under test. */
#ifndef BARE_H
#define BARE_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

void print(const char *text);
/* A number in hexadecimal, without leading zeroes. */
void print_hex(u64 value);
/* `NAME=VALUE` and a space. */
void print_field(const char *name, u64 value);
void end_line(void);
/* Prints the start of a line about `what`. */
void begin(const char *what);

#define read_sysreg(name)                                       \
  ({                                                            \
    u64 value_;                                                 \
    asm volatile("mrs %0, " #name : "=r"(value_)::"memory");    \
    value_;                                                     \
  })
#define write_sysreg(name, value) asm volatile("msr " #name ", %0" ::"r"((u64)(value)) : "memory")
#define isb() asm volatile("isb" ::: "memory")
#define dsb() asm volatile("dsb sy" ::: "memory")

/* Runs code(a, b) at EL1 or at EL0; an exception ends it and is printed. At EL1, the result is its return value. */
u64 try_code(void *code, u64 a, u64 b);
void try_el0(void *code, u64 a, u64 b);

/*
 * A piece of code of its own, in assembly: `snippet(name, "...")` makes a function `name` that ends with RET; `user_snippet`
 * one that ends by going back from EL0.
 */
#define snippet(name, text)                                                        \
  void name(void);                                                                 \
  asm(".pushsection .text\n.balign 4\n.global " #name "\n" #name ":\n" text "\nret\n.popsection\n")
#define user_snippet(name, text)                                                                \
  void name(void);                                                                              \
  asm(".pushsection .text\n.balign 4\n.global " #name "\n" #name ":\n" text "\nsvc #0xffff\n.popsection\n")

/* Begins a line with `what` and tries the code. */
void check(const char *what, void (*code)(void), u64 a, u64 b);
void check_el0(const char *what, void (*code)(void), u64 a, u64 b);

/* The test itself. */
void test_main(void);

/* Exceptions since the last `check`. */
extern u64 exceptions;

/* Where set, exceptions are not printed: what is left of the last is its class, ESR_EL1.EC. */
extern int quiet;
extern u64 quiet_class;

#endif
