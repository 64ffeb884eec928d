/*
 * Runs single A64 instructions on a real or emulated CPU, each from a given state, and tells the state after it. Linux, static,
 * without a C library.
 *
 * A test ends with a signal: behind its word, and everywhere else in its slot, stands a BRK.
 *
 * Reads from standard input, little-endian: how many states and how many tests there are (32 bits each), the states (see `state`),
 * the tests (`test`). Writes an `outcome` for each test. Test i's word stands at SLOTS + STRIDE * i + 4; the memory that
 * it may touch is MEMORY_BYTES from MEMORY on, filled with `pattern`.
 */
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;

enum { STRIDE = 64, DIFF_BYTES = 96, MEMORY_BYTES = 0x40000 };
#define SLOTS 0x6000000UL
#define MEMORY 0x20000000UL
#define BREAKPOINT 0xd4200020u

struct state {
  u64 x[31];
  u64 sp, nzcv, fpcr, fpsr;
  u64 unused;
  u64 v[64];
};

struct test {
  u32 word, state;
  /* whether to look for changes of memory */
  u32 stores, unused;
};

struct outcome {
  u64 x[31];
  u64 sp, nzcv, fpcr, fpsr;
  u64 pc;
  u64 v[64];
  u32 signal;
  /* offsets of the first and last changed bytes of memory; first > last when none is */
  u32 first, last, unused;
  u8 changed[DIFF_BYTES];
};

/* Known to the assembly by these names. */
struct outcome *current_outcome;
u64 saved_sp;
static u32 current_signal;
static u64 fault_pc;

extern void run_slot(const struct state *from, u64 slot);
extern void leave_slot(void);

__asm__(
    ".text\n"
    "run_slot:\n"
    "  stp x19, x20, [sp, #-160]!\n"
    "  stp x21, x22, [sp, #16]\n"
    "  stp x23, x24, [sp, #32]\n"
    "  stp x25, x26, [sp, #48]\n"
    "  stp x27, x28, [sp, #64]\n"
    "  stp x29, x30, [sp, #80]\n"
    "  stp d8, d9, [sp, #96]\n"
    "  stp d10, d11, [sp, #112]\n"
    "  stp d12, d13, [sp, #128]\n"
    "  stp d14, d15, [sp, #144]\n"
    "  adrp x2, saved_sp\n"
    "  mov x3, sp\n"
    "  str x3, [x2, :lo12:saved_sp]\n"
    "  mov x30, x1\n"
    "  ldr x2, [x0, #240]\n"
    "  msr tpidr_el0, x2\n"
    "  ldp x2, x3, [x0, #248]\n"
    "  mov sp, x2\n"
    "  msr nzcv, x3\n"
    "  ldp x2, x3, [x0, #264]\n"
    "  msr fpcr, x2\n"
    "  msr fpsr, x3\n"
    "  add x1, x0, #288\n"
    "  .irp n, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30\n"
    "  ldr q\\n, [x1, #\\n * 16]\n"
    "  .endr\n"
    "  .irp n, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31\n"
    "  ldr q\\n, [x1, #\\n * 16]\n"
    "  .endr\n"
    "  .irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20\n"
    "  ldr x\\n, [x0, #\\n * 8]\n"
    "  .endr\n"
    "  .irp n, 21, 22, 23, 24, 25, 26, 27, 28, 29\n"
    "  ldr x\\n, [x0, #\\n * 8]\n"
    "  .endr\n"
    "  ldr x0, [x0]\n"
    "  clrex\n"
    "  br x30\n" /* whose first instruction takes x30 out of TPIDR_EL0 */
    "leave_slot:\n"
    "  msr tpidr_el0, x30\n"
    "  adrp x30, current_outcome\n"
    "  ldr x30, [x30, :lo12:current_outcome]\n"
    "  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20\n"
    "  str x\\n, [x30, #\\n * 8]\n"
    "  .endr\n"
    "  .irp n, 21, 22, 23, 24, 25, 26, 27, 28, 29\n"
    "  str x\\n, [x30, #\\n * 8]\n"
    "  .endr\n"
    "  mrs x0, tpidr_el0\n"
    "  str x0, [x30, #240]\n"
    "  mov x0, sp\n"
    "  mrs x1, nzcv\n"
    "  stp x0, x1, [x30, #248]\n"
    "  mrs x0, fpcr\n"
    "  mrs x1, fpsr\n"
    "  stp x0, x1, [x30, #264]\n"
    "  add x1, x30, #288\n"
    "  .irp n, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30\n"
    "  str q\\n, [x1, #\\n * 16]\n"
    "  .endr\n"
    "  .irp n, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31\n"
    "  str q\\n, [x1, #\\n * 16]\n"
    "  .endr\n"
    "  msr fpcr, xzr\n"
    "  adrp x0, saved_sp\n"
    "  ldr x0, [x0, :lo12:saved_sp]\n"
    "  mov sp, x0\n"
    "  ldp x21, x22, [sp, #16]\n"
    "  ldp x23, x24, [sp, #32]\n"
    "  ldp x25, x26, [sp, #48]\n"
    "  ldp x27, x28, [sp, #64]\n"
    "  ldp x29, x30, [sp, #80]\n"
    "  ldp d8, d9, [sp, #96]\n"
    "  ldp d10, d11, [sp, #112]\n"
    "  ldp d12, d13, [sp, #128]\n"
    "  ldp d14, d15, [sp, #144]\n"
    "  ldp x19, x20, [sp], #160\n"
    "  ret\n"
    ".globl _start\n"
    "_start:\n"
    "  mov x0, sp\n"
    "  bl program\n");

static long call(long number, long a, long b, long c, long d, long e, long f) {
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  __asm__ volatile("svc #0"
                   : "+r"(x0)
                   : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                   : "memory");
  return x0;
}

enum { SYS_read = 63, SYS_write = 64, SYS_exit = 93, SYS_sigaltstack = 132, SYS_rt_sigaction = 134, SYS_mmap = 222 };

static void transfer(long number, int file, void *at, u64 bytes) {
  for (u64 done = 0; done < bytes;) {
    long n = call(number, file, (long)at + (long)done, (long)(bytes - done), 0, 0, 0);
    if (n <= 0) call(SYS_exit, 3, 0, 0, 0, 0, 0);
    done += (u64)n;
  }
}

static void *map(u64 where, u64 bytes, int protection) {
  /* private, anonymous, fixed where a place is asked for */
  long at = call(SYS_mmap, (long)where, (long)bytes, protection, where != 0 ? 0x32 : 0x22, -1, 0);
  if (at < 0 && at > -4096) call(SYS_exit, 4, 0, 0, 0, 0, 0);
  return (void *)at;
}

/* The machine context of asm/sigcontext.h inside the ucontext that a handler gets. */
struct context {
  u8 before[176];
  u64 fault_address, x[31], sp, pc, pstate;
};

static void on_signal(int signal, void *info, struct context *context) {
  (void)info;
  current_signal = (u32)signal;
  fault_pc = context->pc;
  context->pc = (u64)leave_slot;
}

static void catch_signals(void) {
  struct { void *stack; int flags; int unused; u64 size; } stack = {map(0, 65536, 3), 0, 0, 65536};
  call(SYS_sigaltstack, (long)&stack, 0, 0, 0, 0, 0);
  /* SA_SIGINFO | SA_ONSTACK | SA_NODEFER */
  struct { void (*handler)(int, void *, struct context *); u64 flags, restorer, mask; } action = {on_signal, 0x48000004, 0, 0};
  static const int signals[] = {4, 5, 7, 8, 11};
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i += 1)
    call(SYS_rt_sigaction, signals[i], (long)&action, 0, 8, 0, 0);
}

static u64 pattern(u64 index) { return (index + 1) * 0x9e3779b97f4a7c15UL; }

static void compare_memory(struct outcome *out) {
  u64 *memory = (u64 *)MEMORY;
  u32 first = ~0u, last = 0;
  for (u64 i = 0; i < MEMORY_BYTES / 8; i += 1) {
    u64 difference = memory[i] ^ pattern(i);
    if (difference == 0) continue;
    if (first == ~0u) first = (u32)(8 * i) + (u32)__builtin_ctzl(difference) / 8;
    last = (u32)(8 * i) + 7 - (u32)__builtin_clzl(difference) / 8;
  }
  out->first = first;
  out->last = last;
  if (first == ~0u) return;
  for (u32 i = first; i <= last; i += 1)
    if (i - first < DIFF_BYTES) out->changed[i - first] = ((u8 *)MEMORY)[i];
  for (u64 i = first / 8; i <= last / 8; i += 1) memory[i] = pattern(i);
}

static void place_code(const struct test *tests, u32 count) {
  u32 *code = map(SLOTS, (u64)(count + 1) * STRIDE, 7);
  for (u64 i = 0; i < (u64)(count + 1) * STRIDE / 4; i += 1) code[i] = BREAKPOINT;
  for (u64 i = 0; i < count; i += 1) {
    u32 *slot = code + i * STRIDE / 4;
    slot[0] = 0xd53bd05e; /* mrs x30, tpidr_el0 */
    slot[1] = tests[i].word;
  }
  for (u64 at = SLOTS; at < SLOTS + (u64)count * STRIDE; at += 4)
    __asm__ volatile("dc cvau, %0\n dsb ish\n ic ivau, %0\n dsb ish\n isb" : : "r"(at) : "memory");
}

__attribute__((used)) static void program(void) {
  u32 counts[2];
  transfer(SYS_read, 0, counts, sizeof counts);
  struct state *states = map(0, counts[0] * sizeof *states, 3);
  struct test *tests = map(0, counts[1] * sizeof *tests, 3);
  struct outcome *outcomes = map(0, counts[1] * sizeof *outcomes, 3);
  transfer(SYS_read, 0, states, counts[0] * sizeof *states);
  transfer(SYS_read, 0, tests, counts[1] * sizeof *tests);
  u64 *memory = map(MEMORY, MEMORY_BYTES, 3);
  for (u64 i = 0; i < MEMORY_BYTES / 8; i += 1) memory[i] = pattern(i);
  place_code(tests, counts[1]);
  catch_signals();
  for (u32 i = 0; i < counts[1]; i += 1) {
    struct outcome *out = outcomes + i;
    current_outcome = out;
    current_signal = 0;
    out->first = 1;
    run_slot(states + tests[i].state, SLOTS + (u64)i * STRIDE);
    out->signal = current_signal;
    out->pc = fault_pc;
    if (tests[i].stores) compare_memory(out);
  }
  transfer(SYS_write, 1, outcomes, counts[1] * sizeof *outcomes);
  call(SYS_exit, 0, 0, 0, 0, 0, 0);
}
