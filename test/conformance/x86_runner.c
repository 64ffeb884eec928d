/*
 * Runs single x86-64 instructions on the CPU, each from a given state, and tells the state after it. Linux.
 *
 * A test begins and ends with a signal: behind its instruction, and everywhere else in its page, stands INT3.
 *
 * Reads from standard input, little-endian: how many tests there are (64 bits), and the tests. Writes an `outcome` for each. The
 * memory that a test may touch is MEMORY_BYTES from MEMORY on, filled with `pattern` before each. Its upper half may be read-only.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

enum { MEMORY_BYTES = 0x10000, DIFF_BYTES = 96, PAGE = 4096, START = 0xfc0 };
#define CODE ((uint8_t *)0x10000000)
#define MEMORY ((uint8_t *)0x20000000)
#define GS_BASE 0x40
/* Linux's segments for 64-bit and 32-bit code, and for data (arch/x86/include/asm/segment.h) */
enum { USER_CS = 0x33, USER32_CS = 0x23, USER_DS = 0x2b };

/*
 * as FXSAVE has them: ST(0) to ST(7) with 16 bytes each, the tag word with a bit for each physical register, and the last opcode and
 * the pointers
 */
struct x87 {
  uint64_t registers[16];
  uint64_t control, status, tags;
  uint64_t opcode, instruction, operand;
};

/* rax rcx rdx rbx rsp rbp rsi rdi r8 to r15, by their numbers */
struct test {
  uint64_t registers[16];
  uint64_t flags;
  uint8_t bytes[16];
  uint64_t length;
  uint64_t vectors[32];
  uint64_t mxcsr;
  struct x87 x87;
  /* whether the upper half of memory is read-only */
  uint64_t read_only;
  /* 64 or 32 */
  uint64_t mode;
};

struct outcome {
  uint64_t registers[16];
  uint64_t flags, pc, signal;
  /* of the exception: its vector, its error code, and CR2 */
  uint64_t vector, error, address;
  /* offsets of the first and last changed bytes of memory; first > last where there is none */
  uint64_t first, last;
  uint8_t changed[DIFF_BYTES];
  uint64_t vectors[32];
  uint64_t mxcsr;
  struct x87 x87;
};

static const int places[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                               REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
enum { KEPT_FLAGS = 0xcd5 };

static const struct test *current;
static struct outcome *result;
static gregset_t own;
static struct _libc_fpstate own_floats;
static int running, ticks;
static uint8_t pattern[MEMORY_BYTES];

static void set_x87(struct _libc_fpstate *floats, const struct x87 *from) {
  memcpy(floats->_st, from->registers, sizeof from->registers);
  floats->cwd = (uint16_t)from->control;
  floats->swd = (uint16_t)from->status;
  floats->ftw = (uint16_t)from->tags;
  floats->fop = (uint16_t)from->opcode;
  floats->rip = from->instruction;
  floats->rdp = from->operand;
}

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
    set_x87(floats, &current->x87);
    for (int i = 0; i < 16; i++) registers[places[i]] = (greg_t)current->registers[i];
    registers[REG_EFL] = (registers[REG_EFL] & ~KEPT_FLAGS) | (greg_t)(current->flags & KEPT_FLAGS);
    registers[REG_RIP] = (greg_t)(CODE + START);
    registers[REG_CSGSFS] = (registers[REG_CSGSFS] & ~0xffffll) | (current->mode == 32 ? USER32_CS : USER_CS);
    running = 1;
    ticks = 0;
    return;
  }
  for (int i = 0; i < 16; i++) result->registers[i] = (uint64_t)registers[places[i]];
  result->flags = (uint64_t)registers[REG_EFL] & KEPT_FLAGS;
  result->pc = (uint64_t)registers[REG_RIP] - (signal == SIGTRAP && registers[REG_TRAPNO] == 3 ? 1 : 0);
  result->signal = (uint64_t)signal;
  result->vector = (uint64_t)registers[REG_TRAPNO];
  result->error = (uint64_t)registers[REG_ERR];
  result->address = (uint64_t)registers[REG_CR2];
  memcpy(result->vectors, floats->_xmm, sizeof result->vectors);
  result->mxcsr = floats->mxcsr;
  memcpy(result->x87.registers, floats->_st, sizeof result->x87.registers);
  result->x87.control = floats->cwd;
  result->x87.status = floats->swd;
  result->x87.tags = floats->ftw;
  result->x87.opcode = floats->fop;
  result->x87.instruction = floats->rip;
  result->x87.operand = floats->rdp;
  memcpy(floats, &own_floats, offsetof(struct _libc_fpstate, __glibc_reserved1));
  memcpy(registers, own, sizeof own);
  running = 0;
}

static void protect(int read_only) {
  static int is_read_only;
  if (read_only == is_read_only) return;
  is_read_only = read_only;
  mprotect(MEMORY + MEMORY_BYTES / 2, MEMORY_BYTES / 2, read_only ? PROT_READ : PROT_READ | PROT_WRITE);
}

static void run(const struct test *test, struct outcome *outcome) {
  memset(CODE, 0xcc, PAGE);
  memcpy(CODE + START, test->bytes, test->length);
  protect((int)test->read_only);
  current = test;
  result = outcome;
  __asm__ volatile("int3" : : : "memory");
  outcome->first = 1;
  outcome->last = 0;
  if (memcmp(MEMORY, pattern, MEMORY_BYTES) == 0) return;
  protect(0);
  for (unsigned i = 0; i < MEMORY_BYTES; i++) {
    if (MEMORY[i] == pattern[i]) continue;
    if (outcome->first > outcome->last) outcome->first = i;
    outcome->last = i;
  }
  for (uint64_t i = outcome->first; i <= outcome->last && i - outcome->first < DIFF_BYTES; i++)
    outcome->changed[i - outcome->first] = MEMORY[i];
  memcpy(MEMORY, pattern, MEMORY_BYTES);
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
  for (unsigned i = 0; i < MEMORY_BYTES; i++) pattern[i] = (uint8_t)(i * 7 + (i >> 8) * 13);
  memcpy(MEMORY, pattern, MEMORY_BYTES);
  /* 32-bit code needs segments for data; 64-bit code ignores them */
  __asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"(USER_DS));
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
