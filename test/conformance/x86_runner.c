/*
 * Runs single x86-64 instructions on the CPU, each from a given state, and tells the state after it. Linux.
 *
 * A test begins and ends with a signal: behind its instruction, and everywhere else in its page, stands INT3.
 *
 * Reads from standard input, little-endian: how many tests there are (64 bits), and the tests. Writes an `outcome` for each. The
 * memory that a test may touch is MEMORY_BYTES from MEMORY on, filled with `pattern` before each.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

enum { MEMORY_BYTES = 0x10000, DIFF_BYTES = 96, PAGE = 4096, START = 0x800 };
#define CODE ((uint8_t *)0x10000000)
#define MEMORY ((uint8_t *)0x20000000)
#define GS_BASE 0x40

/* rax rcx rdx rbx rsp rbp rsi rdi r8 to r15, by their numbers */
struct test {
  uint64_t registers[16];
  uint64_t flags;
  uint8_t bytes[16];
  uint64_t length;
  uint64_t vectors[32];
  uint64_t mxcsr;
};

struct outcome {
  uint64_t registers[16];
  uint64_t flags, pc, signal;
  /* offsets of the first and last changed bytes of memory; first > last where there is none */
  uint64_t first, last;
  uint8_t changed[DIFF_BYTES];
  uint64_t vectors[32];
  uint64_t mxcsr;
};

static const int places[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                               REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
enum { KEPT_FLAGS = 0xcd5 };

static const struct test *current;
static struct outcome *result;
static gregset_t own;
static struct _libc_fpstate own_floats;
static int running, ticks;

static void handle(int signal, siginfo_t *info, void *context) {
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  struct _libc_fpstate *floats = ((ucontext_t *)context)->uc_mcontext.fpregs;
  (void)info;
  /* an instruction that jumps to itself is ended by the clock */
  if (signal == SIGVTALRM && (!running || ++ticks < 3)) return;
  if (!running) {
    memcpy(own, registers, sizeof own);
    memcpy(&own_floats, floats, sizeof own_floats);
    memcpy(floats->_xmm, current->vectors, sizeof current->vectors);
    floats->mxcsr = (uint32_t)current->mxcsr;
    for (int i = 0; i < 16; i++) registers[places[i]] = (greg_t)current->registers[i];
    registers[REG_EFL] = (registers[REG_EFL] & ~KEPT_FLAGS) | (greg_t)(current->flags & KEPT_FLAGS);
    registers[REG_RIP] = (greg_t)(CODE + START);
    running = 1;
    ticks = 0;
    return;
  }
  for (int i = 0; i < 16; i++) result->registers[i] = (uint64_t)registers[places[i]];
  result->flags = (uint64_t)registers[REG_EFL] & KEPT_FLAGS;
  result->pc = (uint64_t)registers[REG_RIP] - (signal == SIGTRAP ? 1 : 0);
  result->signal = (uint64_t)signal;
  memcpy(result->vectors, floats->_xmm, sizeof result->vectors);
  result->mxcsr = floats->mxcsr;
  memcpy(floats->_xmm, own_floats._xmm, sizeof own_floats._xmm);
  floats->mxcsr = own_floats.mxcsr;
  memcpy(registers, own, sizeof own);
  running = 0;
}

static uint8_t pattern(unsigned at) { return (uint8_t)(at * 7 + (at >> 8) * 13); }

static void run(const struct test *test, struct outcome *outcome) {
  memset(CODE, 0xcc, PAGE);
  memcpy(CODE + START, test->bytes, test->length);
  for (unsigned i = 0; i < MEMORY_BYTES; i++) MEMORY[i] = pattern(i);
  current = test;
  result = outcome;
  __asm__ volatile("int3" : : : "memory");
  outcome->first = 1;
  outcome->last = 0;
  for (unsigned i = 0; i < MEMORY_BYTES; i++) {
    if (MEMORY[i] == pattern(i)) continue;
    if (outcome->first > outcome->last) outcome->first = i;
    outcome->last = i;
    if (i - outcome->first < DIFF_BYTES) outcome->changed[i - outcome->first] = MEMORY[i];
  }
  if (outcome->first > outcome->last) return;
  for (uint64_t i = outcome->first; i <= outcome->last && i - outcome->first < DIFF_BYTES; i++)
    outcome->changed[i - outcome->first] = MEMORY[i];
}

int main(void) {
  static uint8_t stack[1 << 16];
  stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
  struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  int signals[] = {SIGTRAP, SIGSEGV, SIGILL, SIGFPE, SIGBUS, SIGVTALRM};
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  struct itimerval clock = {{0, 20000}, {0, 20000}};
  uint64_t count;
  if (sigaltstack(&other, 0) != 0) return 1;
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
    if (sigaction(signals[i], &action, 0) != 0) return 1;
  if (mmap(CODE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, flags, -1, 0) != CODE) return 2;
  if (mmap(MEMORY, MEMORY_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0) != MEMORY) return 2;
  if (syscall(SYS_arch_prctl, ARCH_SET_GS, (unsigned long)GS_BASE) != 0) return 3;
  if (setitimer(ITIMER_VIRTUAL, &clock, 0) != 0) return 3;
  if (fread(&count, sizeof count, 1, stdin) != 1) return 4;
  for (uint64_t i = 0; i < count; i++) {
    struct test test;
    struct outcome outcome;
    memset(&outcome, 0, sizeof outcome);
    if (fread(&test, sizeof test, 1, stdin) != 1) return 4;
    run(&test, &outcome);
    if (fwrite(&outcome, sizeof outcome, 1, stdout) != 1) return 5;
  }
  return 0;
}
