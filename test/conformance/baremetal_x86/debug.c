/* #DB: single steps, breakpoints of code and of data, and the debug registers. */
#include "bare.h"

static u64 rips[64];
static int count, limit;
static int again;

/* Notes where #DB comes, and DR6, which it clears; goes on without a step once there were enough. */
static u64 last_dr6;
static int note(struct frame *frame)
{
  if (frame->vector != 1) return 0;
  last_dr6 = read_reg(db6);
  write_reg(db6, 0xffff0ff0);
  if (count < 64) rips[count] = frame->rip;
  count++;
  if (count >= limit) {
    frame->rflags &= ~0x100ul;
    write_reg(db7, 0x400);
  }
  /* A fault of a breakpoint: on with RF. */
  if (again) frame->rflags |= 0x10000;
  exceptions--;
  return 1;
}

static void show(u64 from)
{
  print_field("count", (u64)count);
  for (int index = 0; index < count && index < 24; index++) {
    print_hex(rips[index] - from);
    print(" ");
  }
  print_field("dr6", last_dr6);
  count = 0;
  last_dr6 = 0;
}

#define step_on "pushf\norl $0x100, (%rsp)\npopf\n"
#define step_off "pushf\nandl $~0x100, (%rsp)\npopf\n"

static void traced(const char *what, void (*code)(void), u64 a)
{
  check(what, code, a, 0);
  show((u64)code);
}

snippet(plain, step_on "nop\nmov $5, %eax\nadd $3, %eax\n" step_off);
snippet(branches, step_on "jmp 1f\nnop\n1: xor %eax, %eax\njz 2f\nnop\n2: jnz 3f\nnop\n3: call 4f\njmp 5f\n4: ret\n5:" step_off);
snippet(strings, "lea 0x100(%rdi), %rsi\nmov $3, %ecx\n" step_on "rep movsb\nnop\nrepe cmpsb\n" step_off);
snippet(stack_load, "mov %ss, %eax\n" step_on "mov %eax, %ss\nnop\nnop\n" step_off);
snippet(software, step_on "int $0x42\nnop\n" step_off);
snippet(faults, step_on "ud2\nnop\n" step_off);
snippet(sti, step_on "sti\nnop\ncli\n" step_off);
snippet(returns, "mov %rsp, %rdx\npush $0x10\npush %rdx\npush $0x102\npush $8\npush $1f\niretq\n1: nop\nnop\n" step_off);
snippet(system_call, "mov $1f, %ecx\n" step_on "syscall\nnop\n1:" step_off);
snippet(memory, step_on "mov (%rdi), %eax\nmov %eax, (%rdi)\nadd $1, (%rdi)\npush %rax\npop %rax\n" step_off);
snippet(cold, step_on "mov %cr0, %rax\ncpuid\nrdtsc\nmov $0, %eax\nlar %eax, %ecx\nlfence\n" step_off);
snippet(across, step_on "jmp *%rdi\n1: nop\n");
user_snippet(user_plain, "pushf\norl $0x100, (%rsp)\npopf\nnop\nnop\npushf\nandl $~0x100, (%rsp)\npopf\nnop");
user_snippet(user_system_call, "pushf\norl $0x100, (%rsp)\npopf\nnop\nsyscall\nnop\npushf\nandl $~0x100, (%rsp)\npopf\nnop");

static int answer(struct frame *frame)
{
  if (frame->vector == 6) {
    frame->rip += 2;
    exceptions--;
    return 1;
  }
  if (frame->vector == 0x42) {
    exceptions--;
    return 1;
  }
  return note(frame);
}

void syscall_back(void);
asm(".pushsection .text\nsyscall_back: nop\njmp *%rcx\n.popsection");
void syscall_user(void);
asm(".pushsection .text\nsyscall_user: nop\nsysretq\n.popsection");

static void steps(void)
{
  limit = 1000;
  hook = answer;
  traced("plain", plain, 0);
  traced("branches", branches, 0);
  traced("strings", strings, 0x200000);
  traced("load of ss", stack_load, 0);
  traced("int", software, 0);
  traced("ud2", faults, 0);
  traced("sti", sti, 0);
  traced("iret", returns, 0);
  traced("memory", memory, 0x200000);
  traced("cold", cold, 0);
  write_msr(MSR_STAR, (u64)SEL_USER32 << 48 | (u64)SEL_CODE << 32);
  write_msr(MSR_LSTAR, (u64)syscall_back);
  write_msr(MSR_FMASK, 0x4700);
  write_msr(MSR_LSTAR, (u64)syscall_user);
  check_user("user", user_plain, 0, 0);
  show((u64)user_plain);
  check_user("user syscall", user_system_call, 0, 0);
  show((u64)user_system_call);
  /* Code that ends one page and begins the next. */
  u8 *code = (u8 *)0x202ffaul;
  asm volatile("" : "+r"(code));
  static const u8 bytes[] = { 0x90, 0xb8, 1, 2, 3, 4, 0x90, 0xb9, 1, 2, 3, 4, 0x9c, 0x81, 0x24, 0x24, 0xff, 0xfe, 0xff, 0xff, 0x9d, 0xc3 };
  for (unsigned at = 0; at < sizeof(bytes); at++) code[at] = bytes[at];
  check("pages", across, (u64)code, 0);
  show((u64)code);
  for (unsigned at = 0; at < sizeof(bytes); at++) code[at + 3] = bytes[at];
  check("an instruction across pages", across, (u64)code + 3, 0);
  show((u64)code + 3);
}

snippet(target, "nop\nmov $1, %eax\nadd $2, %eax\nnop");
snippet(loop, "mov $4, %ecx\n1: nop\nloop 1b");
snippet(touch, "mov (%rdi), %al\nmov 3(%rdi), %al\nmov 4(%rdi), %al\nmov %al, (%rdi)\nmov %eax, -2(%rdi)\nmov %al, 4(%rdi)\naddb $1, 1(%rdi)\nmov -8(%rdi), %rax\nmovl $0, 7(%rdi)");
snippet(touch_string, "mov $8, %ecx\nmov $7, %al\nrep stosb\nnop");
snippet(touch_push, "mov %rsp, %rdx\nlea 8(%rdi), %rsp\npush %rax\npop %rax\nmov %rdx, %rsp");

static void breakpoints(void)
{
  hook = note;
  limit = 20;
  for (int own = 0; own < 4; own++) {
    again = 1;
    write_reg(db0, (u64)target + 1);
    write_reg(db1, (u64)target + 6);
    write_reg(db2, (u64)target + 9);
    write_reg(db3, (u64)target);
    write_reg(db7, 0x400 | 1ul << (2 * own));
    check("code", target, 0, 0);
    show((u64)target);
    write_reg(db7, 0x400);
  }
  write_reg(db0, (u64)target + 1);
  write_reg(db1, (u64)target + 6);
  write_reg(db7, 0x40a);
  check("two, global", target, 0, 0);
  show((u64)target);
  write_reg(db0, (u64)loop + 5);
  write_reg(db7, 0x401);
  check("in a loop", loop, 0, 0);
  show((u64)loop);
  write_reg(db7, 0x400);
  check("off", loop, 0, 0);
  show((u64)loop);
  again = 0;
  static const u64 kinds[] = { 0x10000, 0x30000, 0x50000, 0x70000, 0xd0000, 0xf0000, 0x90000, 0xb0000 };
  for (unsigned kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
    write_reg(db0, 0x200108);
    write_reg(db7, 0x401 | kinds[kind]);
    check("data", touch, 0x200108, 0);
    print_field("kind", kinds[kind] >> 16);
    show((u64)touch);
    write_reg(db7, 0x400);
  }
  write_reg(db1, 0x200204);
  write_reg(db7, 0x404 | 0x100000);
  check("data of a string", touch_string, 0x200200, 0);
  show((u64)touch_string);
  write_reg(db7, 0x404 | 0x300000);
  write_reg(db1, 0x200300);
  check("data of the stack", touch_push, 0x200300, 0);
  show((u64)touch_push);
  write_reg(db7, 0x400);
}

snippet(guarded, "mov %db0, %rax\nmov $7, %eax");
snippet(guarded_write, "mov %rdi, %db6\nmov $7, %eax");
snippet(dr4, "mov %db4, %rax");
static void registers(void)
{
  again = 0;
  limit = 100;
  write_reg(db7, 0x2400);
  hook = 0;
  check("guarded", guarded, 0, 0);
  print_field("dr7", read_reg(db7));
  print_field("dr6", read_reg(db6) & 0x2000);
  write_reg(db6, 0xffff0ff0);
  write_reg(cr4, read_reg(cr4) | 8);
  check("dr4 with DE", dr4, 0, 0);
  write_reg(cr4, read_reg(cr4) & ~8ul);
  check("dr4 without DE", dr4, 0, 0);
}

void test_main(void)
{
  memory_set((void *)0x200000, 0, 0x4000);
  steps();
  breakpoints();
  registers();
}
