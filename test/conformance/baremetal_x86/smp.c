/* Two CPUs: INIT and SIPI from real mode, IPIs, code that one changes and the other runs, LOCK, and accesses that cross lines. */
#include "bare.h"

/* The startup code, which is copied to 0x8000: real mode, protected mode, long mode. What it finds is left at 0x9000. */
extern u8 startup[], startup_end[];
asm(".pushsection .text\n.code16\n.balign 16\nstartup:\n"
    "cli\nmov %cs, %ax\nmov %ax, %cs:0x800\nmov %ds, %ax\nmov %ax, %cs:0x802\nmov %ss, %ax\nmov %ax, %cs:0x804\n"
    "pushfl\npopl %eax\nmov %eax, %cs:0x808\n"
    "mov %cr0, %eax\nmov %eax, %cs:0x80c\n"
    "mov $0xffff, %bx\nmov %cs:(%bx), %al\n" /* the last byte of the segment */
    "xor %ax, %ax\nmov %ax, %ds\nmov %ax, %ss\nmov $0x7f00, %sp\n"
    "push %cs\nmov $1f - startup, %ax\npush %ax\nlret\n1:\n"
    "int $0x20\nmov %bx, %cs:0x810\n"
    "movb $5, %cl\n2: loop 2b\nmov %cx, %cs:0x812\n"
    "lgdtl %cs:3f - startup\n"
    "mov %cr0, %eax\nor $1, %al\nmov %eax, %cr0\n"
    "ljmpl $0x18, $4f - startup + 0x8000\n"
    "3: .word 0xd7\n.long gdt\n"
    ".code32\n4: mov $0x10, %eax\nmov %eax, %ds\nmov %eax, %es\nmov %eax, %ss\n"
    "mov $0xa0, %eax\nmov %eax, %cr4\nmov $first_root, %eax\nmov %eax, %cr3\nmov $0xc0000080, %ecx\nmov $0x901, %eax\nxor %edx, %edx\nwrmsr\n"
    "mov $0x80010033, %eax\nmov %eax, %cr0\nljmpl $8, $second_start\n"
    "startup_end:\n.code64\n"
    "second_start: xor %eax, %eax\nmov %eax, %fs\nmov %eax, %gs\nmov $second_stack_top, %rsp\ncall second_main\nhlt\n.popsection\n"
    ".bss\n.balign 16\n.space 8192\nsecond_stack_top:\n.text\n");
/* INT 0x20 of real mode leads to 0x8f00: mov $0x1234, %bx; iret. */
static const u8 real_handler[] = { 0xbb, 0x34, 0x12, 0xcf };

static volatile int state, round, go, arrived, stop;
static volatile u32 second_id;
static volatile u64 shared, spin, results[8];
static volatile u32 interrupts[2];

static int on_interrupt(struct frame *frame)
{
  if (frame->vector == 0x50) {
    interrupts[reg(ID) == second_id]++;
    reg(EOI) = 0;
    exceptions--;
    return 1;
  }
  if (frame->vector == 2) {
    interrupts[1] += 0x100;
    exceptions--;
    return 1;
  }
  return 0;
}

static void wait_for(volatile int *what, int value)
{
  while (*what != value) asm volatile("pause");
}

/* Code that the first CPU changes: mov $N, %eax; ret. */
static u8 changing[32] __attribute__((aligned(64)));
static u32 call_changing(void) { return ((u32(*)(void))(u64)changing)(); }

static u8 line[256] __attribute__((aligned(128)));
#define COUNT 3000

static void increments(int own)
{
  volatile u32 *plain = (volatile u32 *)(line + 62);
  for (int index = 0; index < COUNT; index++) {
    asm volatile("lock incq %0" : "+m"(shared)::"memory");
    asm volatile("lock addl $1, %0" : "+m"(*plain)::"memory");
    u64 old;
    for (;;) {
      old = 1;
      asm volatile("xchg %0, %1" : "+r"(old), "+m"(spin)::"memory");
      if (old == 0) break;
      asm volatile("pause");
    }
    results[0]++;
    results[1] += (u64)own;
    asm volatile("" ::: "memory");
    spin = 0;
  }
}

/* cmpxchg8b on eight bytes that cross a line; xadd hands out each number once. */
static u64 sums[2];
static volatile u32 ticket;
static void exchanges(int own)
{
  volatile u64 *at = (volatile u64 *)(line + 124);
  for (int index = 0; index < COUNT; index++) {
    u32 low = (u32)*at, high = (u32)(*at >> 32);
    u8 done;
    do {
      u64 wanted = ((u64)high << 32 | low) + 0x100000001;
      asm volatile("lock cmpxchg8b %1; setz %0" : "=q"(done), "+m"(*at), "+a"(low), "+d"(high) : "b"((u32)wanted), "c"((u32)(wanted >> 32)) : "memory");
    } while (!done);
    u32 mine = 1;
    asm volatile("lock xadd %0, %1" : "+r"(mine), "+m"(ticket)::"memory");
    sums[own] += mine;
  }
}

void second_main(void)
{
  struct { u16 limit; void *base; } __attribute__((packed)) image = { sizeof(idt) - 1, idt };
  asm volatile("lidt %0" ::"m"(image));
  reg(SPIV) = 0x1ff;
  second_id = reg(ID);
  state = 1;
  wait_for(&go, 1);
  increments(1);
  arrived = 1;
  wait_for(&go, 2);
  exchanges(1);
  arrived = 2;
  for (int step = 3; step < 13; step++) {
    wait_for(&go, step);
    asm volatile("cpuid" : : "a"(0), "c"(0) : "rbx", "rdx", "memory");
    results[2] = call_changing();
    arrived = step;
  }
  asm volatile("sti" ::: "memory");
  wait_for(&go, 20);
  state = 2;
  while (interrupts[1] == 0) asm volatile("hlt");
  arrived = 20;
  wait_for(&go, 21);
  asm volatile("cli" ::: "memory");
  arrived = 21;
  /* With interrupts disabled only an NMI gets through. */
  for (;;) asm volatile("pause");
}

static void send(u32 command, u32 target)
{
  reg(ICR_HIGH) = target;
  reg(ICR) = command;
  while (reg(ICR) & 0x1000) ;
}

static void pause_a_while(int times)
{
  for (int index = 0; index < times; index++) asm volatile("pause");
}

static void start_second(void)
{
  u8 *page = (u8 *)0x8000ul;
  asm volatile("" : "+r"(page));
  for (u64 at = 0; at < (u64)(startup_end - startup); at++) page[at] = startup[at];
  for (unsigned at = 0; at < sizeof(real_handler); at++) page[0xf00 + at] = real_handler[at];
  u8 *vectors = 0;
  asm volatile("" : "+r"(vectors));
  *(u32 *)(vectors + 0x80) = 0x08000f00;
  send(0xc4500, 0);
  pause_a_while(5000);
  send(0xc4608, 0);
  pause_a_while(200);
  send(0xc4608, 0);
}

void test_main(void)
{
  hook = on_interrupt;
  reg(SPIV) = 0x1ff;
  reg(LINT0) = 0x10000;
  start_second();
  wait_for(&state, 1);
  begin("started");
  u16 *found = (u16 *)0x8800ul;
  asm volatile("" : "+r"(found));
  print_field("cs", found[0]);
  print_field("ds", found[1]);
  print_field("ss", found[2]);
  print_field("flags", *(u32 *)(found + 4));
  print_field("cr0", *(u32 *)(found + 6));
  print_field("int", found[8]);
  print_field("loop", found[9]);
  begin("increments");
  go = 1;
  increments(0);
  wait_for(&arrived, 1);
  print_field("lock inc", shared);
  print_field("across lines", *(u32 *)(line + 62));
  print_field("within a lock", results[0]);
  print_field("of the second", results[1]);
  begin("exchanges");
  go = 2;
  exchanges(0);
  wait_for(&arrived, 2);
  print_field("cmpxchg8b", *(u64 *)(line + 124));
  print_field("tickets", ticket);
  print_field("sum", sums[0] + sums[1]);
  begin("changed code");
  for (int step = 3; step < 13; step++) {
    changing[0] = 0xb8;
    *(u32 *)(changing + 1) = (u32)(step * 0x111);
    changing[5] = 0xc3;
    go = step;
    wait_for(&arrived, step);
    print_hex(results[2]);
    print(" ");
    /* And back: what this CPU has run is changed by the next step. */
    print_hex(call_changing());
    print(" ");
  }
  begin("ipi");
  go = 20;
  wait_for(&state, 2);
  send(0x4050, second_id);
  wait_for(&arrived, 20);
  print_field("second", interrupts[1]);
  send(0x4050, reg(ID));
  asm volatile("sti; nop; nop; cli" ::: "memory");
  print_field("first", interrupts[0]);
  send(0x84050, 0);
  asm volatile("sti; nop; nop; cli" ::: "memory");
  while (interrupts[1] < 2) asm volatile("pause");
  print_field("all", interrupts[0] << 8 | interrupts[1]);
  go = 21;
  wait_for(&arrived, 21);
  begin("nmi");
  send(0x4050, second_id);
  send(0x4400, second_id);
  while (interrupts[1] < 0x100) asm volatile("pause");
  print_field("second", interrupts[1]);
  begin("again");
  state = 0;
  go = 0;
  arrived = 0;
  start_second();
  wait_for(&state, 1);
  print("started ");
  begin("stopped");
  send(0xc4500, 0);
  pause_a_while(1000);
  go = 1;
  pause_a_while(1000);
  print_field("arrived", (u64)arrived);
}
