/*
 * Shared by the bare-metal tests: output on port 0xe9, reports of exceptions, calls of the code under test, tables of pages and of
 * segments.
 */
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
/* Prints the start of a line about `what`, behind what it is of, if that is set. */
void begin(const char *what);
extern const char *subject;

#define read_reg(name)                                        \
  ({                                                          \
    u64 value_;                                               \
    asm volatile("mov %%" #name ", %0" : "=r"(value_)::"memory"); \
    value_;                                                   \
  })
#define write_reg(name, value) asm volatile("mov %0, %%" #name ::"r"((u64)(value)) : "memory")

static inline void out8(u16 port, u8 value) { asm volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }
static inline u64 read_msr(u32 number)
{
  u32 low, high;
  asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number) : "memory");
  return low | (u64)high << 32;
}
static inline void write_msr(u32 number, u64 value)
{
  asm volatile("wrmsr" ::"c"(number), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

/* Selectors of the GDT. SYSRET wants user32, user data and user in this order. */
enum {
  SEL_CODE = 0x08, SEL_DATA = 0x10, SEL_CODE32 = 0x18, SEL_DATA16 = 0x20, SEL_USER32 = 0x28, SEL_USER_DATA = 0x30, SEL_USER = 0x38,
  SEL_TSS = 0x40, SEL_CODE16 = 0x50, SEL_FREE = 0x58, FREE_COUNT = 16
};
/* The descriptors; those from SEL_FREE on are for the tests. */
extern u64 gdt[];
#define descriptor(selector) gdt[(selector) >> 3]

/* MSRs */
enum { MSR_APIC_BASE = 0x1b, MSR_EFER = 0xc0000080, MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_FMASK, MSR_FS = 0xc0000100, MSR_GS, MSR_KERNEL_GS };

/* The local APIC in xAPIC mode: its registers, by their offsets. */
#define APIC ((volatile u32 *)0xfee00000)
#define reg(offset) APIC[(offset) / 4]
enum { ID = 0x20, VERSION = 0x30, TPR = 0x80, PPR = 0xa0, EOI = 0xb0, LDR = 0xd0, DFR = 0xe0, SPIV = 0xf0, ISR = 0x100, IRR = 0x200,
       ESR = 0x280, ICR = 0x300, ICR_HIGH = 0x310, TIMER = 0x320, LINT0 = 0x350, ERROR = 0x370, INITIAL = 0x380, CURRENT = 0x390,
       DIVIDE = 0x3e0 };

/* An interrupted program. */
struct frame {
  u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
  u64 vector, error, rip, cs, rflags, rsp, ss;
};

/*
 * Exceptions and interrupts. Each is printed and ends the code under test, unless `hook` answers it (returns 1): then that goes on as the
 * frame says.
 */
extern int (*hook)(struct frame *frame);
/* Prints an exception: vector, error code, address, and the stack that it was taken on, where that is not the usual one. */
void print_frame(struct frame *frame);
/* Exceptions since the last `check`. */
extern u64 exceptions;

struct gate { u16 low; u16 selector; u8 ist; u8 type; u16 middle; u32 high; u32 zero; };
extern struct gate idt[256];
/* The first entry of the code of a vector. */
extern u8 vector_entries[];
void set_gate(int vector, void *entry, u16 selector, u8 type, u8 ist);
/* The gate of a vector as it is at first: an interrupt gate for level 0. */
void reset_gate(int vector);

struct tss {
  u32 reserved;
  u64 rsp[3];
  u64 reserved2;
  u64 ist[7];
  u64 reserved3;
  u16 reserved4, map;
  u8 bits[32];
} __attribute__((packed));
extern struct tss tss;
extern u8 kernel_stack_top[], ist_stack_top[], other_stack_top[], user_stack_top[];

/* Runs code(a, b) at CPL 0 or at CPL 3. An exception ends it. At CPL 0, the result is its return value, else RAX. */
u64 try_code(void *code, u64 a, u64 b);
u64 try_user(void *code, u64 a, u64 b);
/* Ends the code under test from within `hook`, or from any code. */
extern u8 try_end[];
void end_by(struct frame *frame);

/*
 * A piece of code of its own, in assembly: `snippet(name, "...")` makes a function `name` that ends with RET; `user_snippet` one that ends
 * by going back from CPL 3.
 */
#define snippet(name, text)                                                        \
  void name(void);                                                                 \
  asm(".pushsection .text\n.balign 16\n.global " #name "\n" #name ":\n" text "\nret\n.popsection\n")
#define user_snippet(name, text)                                                                \
  void name(void);                                                                              \
  asm(".pushsection .text\n.balign 16\n.global " #name "\n" #name ":\n" text "\nint $0x80\n.popsection\n")

/* Begins a line with `what` and tries the code. */
void check(const char *what, void (*code)(void), u64 a, u64 b);
void check_user(const char *what, void (*code)(void), u64 a, u64 b);

/* 4 KiB of zeroes. */
u64 *new_table(void);
/* The table of level 4. All memory below 4 GiB is mapped to itself, for user code too, by entry 0. */
extern u64 *root;
/* Maps a page: makes the tables on the way, with all rights. `level` is 1 (4 KiB), 2 (2 MiB) or 3 (1 GiB). */
u64 *map_page(u64 address, u64 entry, int level);
/* The entry of an address in the table of that level. The tables must be there. */
u64 *entry_of(u64 address, int level);
void flush_all(void);
enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };
#define NX (1ul << 63)

void *memory_set(void *at, int byte, u64 count);

/* Ends the program. */
void power_off(void) __attribute__((noreturn));

/* The test itself. */
void test_main(void);

#endif
