/* The local APIC in xAPIC mode: priorities, self IPIs, the timer's counts, errors; and when interrupts and NMIs are taken. */
#include "bare.h"

static volatile u32 taken[64];
static volatile int count, ends = 1;
static volatile u64 last_rip;

/* Notes an interrupt; an NMI and vectors from 0x20 on. */
static int note(struct frame *frame)
{
  if (frame->vector != 2 && frame->vector < 0x20) return 0;
  taken[count++ & 63] = (u32)frame->vector;
  last_rip = frame->rip;
  if (ends && frame->vector != 2 && frame->vector != 0xff) reg(EOI) = 0;
  exceptions--;
  return 1;
}

static void show(void)
{
  print_field("count", (u64)count);
  for (int index = 0; index < count; index++) {
    print_hex(taken[index]);
    print(" ");
  }
  count = 0;
}

static void open_window(void) { asm volatile("sti; nop; nop; cli" ::: "memory"); }
static void send_self(u32 vector)
{
  reg(ICR) = 0x40000 | vector;
  while (reg(ICR) & 0x1000) ;
}
static u32 requested(u32 vector) { return reg(IRR + 16 * (vector >> 5)) >> (vector & 31) & 1; }
static u32 in_service(u32 vector) { return reg(ISR + 16 * (vector >> 5)) >> (vector & 31) & 1; }

static void self(void)
{
  begin("self");
  send_self(0x41);
  print_field("requested", requested(0x41));
  open_window();
  show();
  print_field("requested", requested(0x41));
  begin("several, the highest first");
  send_self(0x31);
  send_self(0x52);
  send_self(0x51);
  send_self(0x90);
  open_window();
  open_window();
  open_window();
  open_window();
  show();
  begin("the same twice is one");
  send_self(0x33);
  send_self(0x33);
  open_window();
  open_window();
  show();
  begin("in service");
  ends = 0;
  send_self(0x45);
  open_window();
  print_field("in service", in_service(0x45));
  print_field("ppr", reg(PPR));
  send_self(0x43);
  send_self(0x4f);
  open_window();
  show();
  send_self(0x53);
  open_window();
  show();
  print_field("ppr", reg(PPR));
  reg(EOI) = 0;
  print_field("ppr", reg(PPR));
  ends = 1;
  reg(EOI) = 0;
  print_field("ppr", reg(PPR));
  open_window();
  open_window();
  open_window();
  show();
  begin("eoi with nothing in service");
  reg(EOI) = 0;
  print_field("ppr", reg(PPR));
}

static void priorities(void)
{
  for (u32 priority = 0; priority < 256; priority += 0x1f) {
    begin("tpr");
    reg(TPR) = priority;
    print_field("", reg(TPR));
    print_field("ppr", reg(PPR));
    print_field("cr8", read_reg(cr8));
    send_self(0x7a);
    open_window();
    show();
    reg(TPR) = 0;
    open_window();
    show();
  }
  for (u64 level = 0; level < 16; level += 5) {
    begin("cr8");
    write_reg(cr8, level);
    print_field("", read_reg(cr8));
    print_field("tpr", reg(TPR));
    send_self(0x55);
    open_window();
    show();
    write_reg(cr8, 0);
    open_window();
    show();
  }
}

static void disabled(void)
{
  begin("disabled by software");
  reg(SPIV) = 0xff;
  print_field("spiv", reg(SPIV));
  print_field("timer", reg(TIMER));
  reg(TIMER) = 0x30;
  print_field("timer", reg(TIMER));
  print_field("lint0", reg(LINT0));
  send_self(0x66);
  print_field("requested", requested(0x66));
  reg(SPIV) = 0x1ff;
  open_window();
  show();
  print_field("timer", reg(TIMER));
  begin("registers");
  reg(LDR) = 0xa5ffffff;
  print_field("ldr", reg(LDR));
  reg(DFR) = 0;
  print_field("dfr", reg(DFR));
  reg(DFR) = 0xffffffff;
  print_field("dfr", reg(DFR));
  reg(DIVIDE) = 0xb;
  print_field("divide", reg(DIVIDE));
  reg(ERROR) = 0x100fe;
  print_field("error", reg(ERROR));
  reg(TIMER) = 0x100aa;
  print_field("timer", reg(TIMER));
  begin("logical destination");
  reg(LDR) = 0x02000000;
  reg(ICR_HIGH) = 0x02000000;
  reg(ICR) = 0x4846;
  open_window();
  show();
  reg(ICR_HIGH) = 0x05000000;
  reg(ICR) = 0x4846;
  open_window();
  show();
  begin("all");
  reg(ICR) = 0x84047;
  open_window();
  show();
  begin("others");
  reg(ICR) = 0xc4047;
  open_window();
  show();
}

/* The timer: how often it fires, and what of its counts does not depend on time. */
static void timer(void)
{
  reg(DIVIDE) = 0xb;
  begin("one shot");
  reg(TIMER) = 0x70;
  reg(INITIAL) = 2000;
  asm volatile("sti" ::: "memory");
  while (count == 0) asm volatile("pause");
  asm volatile("cli" ::: "memory");
  show();
  print_field("current", reg(CURRENT));
  print_field("initial", reg(INITIAL));
  for (int index = 0; index < 20000; index++) asm volatile("pause");
  open_window();
  show();
  begin("one shot, halted");
  reg(INITIAL) = 3000;
  asm volatile("sti; hlt; cli" ::: "memory");
  show();
  begin("periodic");
  reg(TIMER) = 0x20071;
  reg(INITIAL) = 20000;
  while (count < 5) asm volatile("sti; hlt; cli" ::: "memory");
  show();
  print_field("running", reg(CURRENT) != 0 && reg(CURRENT) <= 20000);
  reg(INITIAL) = 0;
  print_field("current", reg(CURRENT));
  for (int index = 0; index < 20000; index++) asm volatile("pause");
  open_window();
  count = 0;
  open_window();
  show();
  begin("masked");
  reg(TIMER) = 0x10072;
  reg(INITIAL) = 100;
  while (reg(CURRENT) != 0) ;
  print_field("requested", requested(0x72));
  reg(TIMER) = 0x10072;
}

/* The shadows of STI and of loads of SS, and where an interrupt that waits is taken. */
extern u8 sti_start[], sti_end[], ss_next[], ss_end[], popf_next[], sti_hlt_end[], sti_cli_end[];
static void shadows(void)
{
  begin("sti");
  send_self(0x41);
  asm volatile("sti_start: sti; nop; nop; sti_end: cli" ::: "memory");
  print_field("count", (u64)count);
  count = 0;
  begin("sti, cli");
  send_self(0x41);
  asm volatile("sti; cli; nop; nop" ::: "memory");
  show();
  open_window();
  show();
  begin("sti, hlt");
  send_self(0x41);
  asm volatile("sti; hlt; sti_hlt_end: cli" ::: "memory");
  print_field("at", last_rip - (u64)sti_hlt_end);
  show();
  begin("sti, load of ss, cli");
  send_self(0x41);
  asm volatile("mov %%ss, %%eax; sti; mov %%eax, %%ss; cli; nop" ::: "eax", "memory");
  show();
  open_window();
  show();
  begin("load of ss, then an instruction that traps");
  asm volatile("mov %%ss, %%eax; mov %%eax, %%ss; int $0x42" ::: "eax", "memory");
  show();
  begin("popf");
  send_self(0x41);
  asm volatile("push $0x202; popf; nop; cli" ::: "memory");
  show();
  begin("iret that enables");
  send_self(0x41);
  asm volatile("mov %%rsp, %%rax; push $0x10; push %%rax; push $0x202; push $8; push $1f; iretq; 1: nop; cli" ::: "rax", "memory");
  show();
  begin("iret that enables, to cli");
  send_self(0x41);
  asm volatile("mov %%rsp, %%rax; push $0x10; push %%rax; push $0x202; push $8; push $1f; iretq; 1: cli; nop" ::: "rax", "memory");
  show();
  open_window();
  count = 0;
}

/* NMIs: while one is handled, another waits for IRET. */
static volatile int depth, deepest, nmis;
static int nmi_hook(struct frame *frame)
{
  if (frame->vector != 2) return 0;
  nmis++;
  depth++;
  if (depth > deepest) deepest = depth;
  if (nmis == 1) {
    send_self(0x400);
    for (int index = 0; index < 1000; index++) asm volatile("nop");
    print_field("within", (u64)nmis);
  }
  depth--;
  exceptions--;
  return 1;
}

static int nmi_iret_hook(struct frame *frame)
{
  if (frame->vector != 2) return 0;
  nmis++;
  exceptions--;
  if (nmis > 1) return 1;
  send_self(0x400);
  for (int index = 0; index < 1000; index++) asm volatile("nop");
  print_field("before", (u64)nmis);
  /* An IRET within the handler ends the mask. */
  asm volatile("mov %%rsp, %%rax; push $0x10; push %%rax; push $2; push $8; push $1f; iretq; 1: nop" ::: "rax", "memory");
  for (int index = 0; index < 1000; index++) asm volatile("nop; jmp 1f; 1:");
  print_field("behind", (u64)nmis);
  return 1;
}

static void nmi(void)
{
  hook = nmi_hook;
  begin("nmi");
  send_self(0x400);
  for (int index = 0; index < 1000; index++) asm volatile("nop; jmp 1f; 1:");
  print_field("nmis", (u64)nmis);
  print_field("deepest", (u64)deepest);
  begin("nmi, iret within");
  nmis = 0;
  hook = nmi_iret_hook;
  send_self(0x400);
  for (int index = 0; index < 1000; index++) asm volatile("nop; jmp 1f; 1:");
  print_field("nmis", (u64)nmis);
  hook = note;
}

static void errors(void)
{
  begin("error");
  reg(ESR) = 0;
  reg(ESR) = 0;
  print_field("esr", reg(ESR));
  reg(ICR) = 0x44005;
  reg(ESR) = 0;
  print_field("sent", reg(ESR) & 0x20);
}

void test_main(void)
{
  hook = note;
  reg(SPIV) = 0x1ff;
  reg(TPR) = 0;
  reg(LINT0) = 0x10000;
  reg(0x360) = 0x10000;
  begin("base");
  print_field("", read_msr(MSR_APIC_BASE));
  self();
  priorities();
  disabled();
  timer();
  shadows();
  nmi();
  errors();
}
