/* Two CPUs: exclusive increments, locks, messages by WFE and SEV, and code that one CPU writes and the other runs. */
#include "bare.h"

#define ROUNDS 20000ul

static u8 second_stack[4096] __attribute__((aligned(16)));
static volatile u64 started, phase, done[8];
static volatile u64 counter, bytes, pair[2] __attribute__((aligned(16)));
static volatile u32 lock;
static volatile u64 guarded, guarded_twice;
static volatile u64 mail, answer;
static volatile u64 broken, watched, watching, stored;
static u32 code[1024] __attribute__((aligned(4096)));

static u64 psci(u64 function, u64 a, u64 b, u64 c)
{
  register u64 x0 asm("x0") = function;
  register u64 x1 asm("x1") = a;
  register u64 x2 asm("x2") = b;
  register u64 x3 asm("x3") = c;
  asm volatile("hvc #0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x3) : "memory");
  return x0;
}

void second_main(u64 context);
extern u8 second_entry[];
asm(".pushsection .text\n.balign 4\n.global second_entry\nsecond_entry:\n"
    "msr daifset, #15\nadrp x1, vectors\nadd x1, x1, :lo12:vectors\nmsr vbar_el1, x1\n"
    "adrp x1, second_top\nldr x1, [x1, :lo12:second_top]\nmov sp, x1\nbl second_main\n1: wfi\nb 1b\n.popsection\n");
void *const second_top = second_stack + sizeof second_stack;

static void increment(void)
{
  u64 value;
  u32 failed;
  for (u64 n = 0; n < ROUNDS; n++) {
    do asm volatile("ldxr %0, [%2]\nadd %0, %0, #1\nstxr %w1, %0, [%2]" : "=&r"(value), "=&r"(failed) : "r"(&counter) : "memory");
    while (failed);
    do asm volatile("ldaxrb %w0, [%2]\nadd %w0, %w0, #3\nstlxrb %w1, %w0, [%2]" : "=&r"(value), "=&r"(failed) : "r"(&bytes) : "memory");
    while (failed);
  }
}

/* Both halves change together. */
static void increment_pair(void)
{
  u64 low, high;
  u32 failed;
  for (u64 n = 0; n < ROUNDS; n++)
    do asm volatile("ldxp %0, %1, [%3]\nadd %0, %0, #1\nsub %1, %1, %0\nstxp %w2, %0, %1, [%3]"
                    : "=&r"(low), "=&r"(high), "=&r"(failed) : "r"(pair) : "memory");
    while (failed);
}

static void acquire(void)
{
  u32 value;
  asm volatile("sevl\n1: wfe\n2: ldaxr %w0, [%1]\ncbnz %w0, 1b\nstxr %w0, %w2, [%1]\ncbnz %w0, 2b"
               : "=&r"(value) : "r"(&lock), "r"(1) : "memory");
}

static void release(void) { asm volatile("stlr wzr, [%0]\nsev" ::"r"(&lock) : "memory"); }

static void take_turns(void)
{
  for (u64 n = 0; n < ROUNDS / 4; n++) {
    acquire();
    guarded = guarded + 1;
    guarded_twice = guarded_twice + 2 * (guarded & 3);
    release();
  }
}

static u64 acquired(volatile u64 *word)
{
  u64 value;
  asm volatile("ldar %0, [%1]" : "=r"(value) : "r"(word) : "memory");
  return value;
}

static void publish(volatile u64 *word, u64 value)
{
  asm volatile("stlr %0, [%1]\ndsb sy\nsev" ::"r"(value), "r"(word) : "memory");
}

static void await(volatile u64 *word, u64 value)
{
  while (acquired(word) != value) asm volatile("wfe" ::: "memory");
}

/* Barrier for both CPUs. */
static void meet(u64 cpu, u64 which)
{
  publish(&done[2 * (which & 1) + cpu], which);
  await(&done[2 * (which & 1) + !cpu], which);
}

static void run_written_code(u64 cpu)
{
  static volatile u64 version, ran;
  static u64 sum;
  for (u64 n = 1; n <= 200; n++) {
    if (cpu == 0) {
      code[0] = 0xd2800000u | (u32)n << 5; /* mov x0, #n */
      code[1] = 0xd65f03c0u;
      asm volatile("dc cvau, %0\ndsb ish\nic ivau, %0\ndsb ish\nisb" ::"r"(code) : "memory");
      publish(&version, n);
      await(&ran, n);
    } else {
      await(&version, n);
      asm volatile("isb" ::: "memory");
      sum = sum * 31 + ((u64(*)(void))code)();
      publish(&ran, n);
    }
  }
  if (cpu == 1) answer = sum;
}

static void work(u64 cpu)
{
  meet(cpu, 1);
  increment();
  meet(cpu, 2);
  increment_pair();
  meet(cpu, 3);
  take_turns();
  meet(cpu, 4);
  /* A store by the other CPU makes a store-exclusive fail. */
  if (cpu == 1) {
    u64 value;
    u32 failed;
    asm volatile("ldxr %0, [%1]" : "=r"(value) : "r"(&watched) : "memory");
    publish(&watching, 1);
    await(&stored, 1);
    asm volatile("stxr %w0, %1, [%2]" : "=&r"(failed) : "r"(99ul), "r"(&watched) : "memory");
    broken = failed;
  } else {
    await(&watching, 1);
    watched = 7;
    publish(&stored, 1);
  }
  meet(cpu, 5);
  run_written_code(cpu);
  meet(cpu, 6);
}

void second_main(u64 context)
{
  publish(&started, context);
  work(1);
}

void test_main(void)
{
  begin("cpu_on");
  print_hex(psci(0xc4000003, 1, (u64)second_entry, 0x1234));
  await(&started, 0x1234);
  begin("cpu_on again");
  print_hex(psci(0xc4000003, 1, (u64)second_entry, 0));
  work(0);
  begin("words");
  print_hex(counter);
  begin("bytes");
  print_hex(bytes);
  begin("pair");
  print_hex(pair[0]);
  print(" ");
  print_hex(pair[1]);
  begin("guarded");
  print_hex(guarded);
  print(" ");
  print_hex(guarded_twice);
  begin("broken");
  print_hex(broken);
  print(" ");
  print_hex(watched);
  begin("written code");
  print_hex(answer);
  end_line();
}
