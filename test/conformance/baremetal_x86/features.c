/* What the model v2 has beyond the minimal one and only the kernel sees: SMEP, SMAP, the bases of FS and GS, XSAVE. */
#include "bare.h"

#define BASE 0x8000000000ul
#define MEMORY 0x200000ul
enum { FSGSBASE = 1 << 16, OSXSAVE = 1 << 18, SMEP = 1 << 20, SMAP = 1 << 21, OSFXSR = 1 << 9 };

static u64 fault_vector, fault_error;

static int note(struct frame *frame)
{
  fault_vector = frame->vector;
  fault_error = frame->error;
  end_by(frame);
  return 1;
}

/* Runs code with the hook, and prints its result, or its exception. */
static void attempt(const char *name, void (*code)(void), u64 a, u64 b)
{
  fault_vector = 0;
  u64 result = try_code((void *)code, a, b);
  /* An exception may have come while AC was set. */
  asm volatile("pushf\nandl $~0x40000, (%%rsp)\npopf" ::: "cc", "memory");
  print(name);
  print("=");
  if (fault_vector == 0) print_hex(result);
  else {
    print("#");
    print_hex(fault_vector);
    print(".");
    print_hex(fault_error);
  }
  print(" ");
}

#define SET_AC "pushf\norl $0x40000, (%rsp)\npopf\n"
#define CLEAR_AC "pushf\nandl $~0x40000, (%rsp)\npopf\n"
#define DONE "\nmov $1, %eax"

snippet(load, "mov (%rdi), %al" DONE);
snippet(store, "movb $0x11, 32(%rdi)" DONE);
snippet(fetch, "call *%rdi" DONE);
snippet(open_load, "stac\nmov (%rdi), %al\nclac" DONE);
snippet(open_store, "stac\nmovb $0x11, 32(%rdi)\nclac" DONE);
snippet(open_fetch, "stac\ncall *%rdi\nclac" DONE);
snippet(closed_load, "stac\nmov (%rdi), %al\nclac\nmov (%rdi), %al" DONE);
snippet(closed_store, "stac\nmovb $0x11, 32(%rdi)\nclac\nmovb $0x11, 32(%rdi)" DONE);
snippet(popped_load, SET_AC "mov (%rdi), %al\n" CLEAR_AC "mov (%rdi), %al" DONE);
snippet(popped_open, SET_AC "mov (%rdi), %al\n" CLEAR_AC DONE);
snippet(flags_open, "stac\npushf\npop %rax\nand $0x40000, %eax\nclac");
snippet(flags_closed, "stac\nclac\npushf\npop %rax\nand $0x40000, %eax");
user_snippet(user_stac, "stac");
user_snippet(user_clac, "clac");

static void protections(void)
{
  static const u64 controls[] = { 0, SMEP, SMAP, SMEP | SMAP };
  static const u64 bits[] = { P, P | W, P | U, P | W | U, P | W | U | NX };
  u64 before = read_reg(cr4), first = root[0];
  subject = "pages";
  root[0] &= ~(u64)U;
  for (unsigned control = 0; control < sizeof(controls) / sizeof(controls[0]); control++) {
    for (unsigned index = 0; index < sizeof(bits) / sizeof(bits[0]); index++) {
      map_page(BASE, MEMORY | bits[index], 1);
      flush_all();
      write_reg(cr4, before | controls[control]);
      begin("control");
      print_field("", controls[control] >> 20);
      print_field("bits", bits[index] & 7);
      print_field("nx", bits[index] >> 63);
      attempt("r", load, BASE, 0);
      attempt("w", store, BASE, 0);
      attempt("x", fetch, BASE, 0);
      attempt("or", open_load, BASE, 0);
      attempt("ow", open_store, BASE, 0);
      attempt("ox", open_fetch, BASE, 0);
      attempt("cr", closed_load, BASE, 0);
      attempt("cw", closed_store, BASE, 0);
      attempt("pr", popped_load, BASE, 0);
      attempt("po", popped_open, BASE, 0);
      write_reg(cr4, before);
    }
  }
  root[0] = first;
  flush_all();
  begin("flags");
  attempt("open", flags_open, 0, 0);
  attempt("closed", flags_closed, 0, 0);
  hook = 0;
  check_user("stac", user_stac, 0, 0);
  check_user("clac", user_clac, 0, 0);
  hook = note;
  subject = 0;
}

snippet(write_cr4, "mov %cr4, %rdx\nor %rdi, %rdx\nmov %rdx, %cr4\nmov %cr4, %rax\nand %rdi, %rax\nxor %rdi, %rdx\nmov %rdx, %cr4");

static void controls(void)
{
  /* QEMU 7.2 sets bits that its CPU lacks. */
  static const u64 bits[] = { FSGSBASE, OSXSAVE, SMEP, SMAP };
  subject = "cr4";
  for (unsigned index = 0; index < sizeof(bits) / sizeof(bits[0]); index++) {
    /* Our own pages are user pages. */
    u64 first = root[0];
    root[0] &= ~(u64)U;
    flush_all();
    begin("bit");
    print_field("", bits[index]);
    attempt("kept", write_cr4, bits[index], 0);
    root[0] = first;
    flush_all();
  }
  subject = 0;
}

snippet(read_fs, "rdfsbase %rax");
snippet(read_gs, "rdgsbase %rax");
snippet(read_gs32, "mov $-1, %rax\nrdgsbase %eax");
snippet(write_fs, "wrfsbase %rdi\nrdfsbase %rax");
snippet(write_gs, "wrgsbase %rdi\nrdgsbase %rax");
snippet(write_gs32, "wrgsbase %edi\nrdgsbase %rax");
snippet(use_gs, "wrgsbase %rdi\nmov %gs:8, %rax");
user_snippet(user_fs, "mov $0x1234, %eax\nwrfsbase %rax\nrdfsbase %rax");

static void bases(void)
{
  static const u64 values[] = { 0, 0x123456789abc, 0x7fffffffffff, 0x800000000000, 0xffff800000000000, ~0ul };
  u64 before = read_reg(cr4);
  static u64 words[2] = { 0x11, 0x22 };
  subject = "bases";
  begin("off");
  attempt("fs", read_fs, 0, 0);
  attempt("gs", write_gs, 0, 0);
  write_reg(cr4, before | FSGSBASE);
  for (unsigned index = 0; index < sizeof(values) / sizeof(values[0]); index++) {
    begin("value");
    print_field("", values[index]);
    attempt("fs", write_fs, values[index], 0);
    attempt("gs", write_gs, values[index], 0);
    attempt("gs32", write_gs32, values[index], 0);
    attempt("read", read_gs32, 0, 0);
    print_field("msr", read_msr(MSR_FS));
  }
  begin("use");
  attempt("gs", use_gs, (u64)words, 0);
  hook = 0;
  check_user("user", user_fs, 0, 0);
  hook = note;
  write_reg(cr4, before);
  subject = 0;
}

snippet(get_control, "mov %rdi, %rcx\nxgetbv\nshl $32, %rdx\nor %rdx, %rax");
snippet(set_control, "mov %rsi, %rcx\nmov %rdi, %rax\nmov %rdi, %rdx\nshr $32, %rdx\nxsetbv\nxor %ecx, %ecx\nxgetbv");
user_snippet(user_set_control, "xor %ecx, %ecx\nxor %edx, %edx\nmov $3, %eax\nxsetbv");
user_snippet(user_get_control, "xor %ecx, %ecx\nxgetbv");
/* A state of which all parts are in use: registers of x87 and SSE, and MXCSR. */
#define FILL "fninit\nfld1\nfldpi\nmovq %rsi, %xmm0\nmovq %rsi, %xmm15\n"
#define ASK "mov %rsi, %rax\nxor %edx, %edx\n"
snippet(save, FILL ASK "xsave64 (%rdi)\nmov 512(%rdi), %rax");
snippet(save32, FILL ASK "xsave (%rdi)\nmov 512(%rdi), %rax");
snippet(save_optimised, FILL ASK "xsaveopt64 (%rdi)\nmov 512(%rdi), %rax");
snippet(restore, ASK "xrstor64 (%rdi)\nmovq %xmm0, %rax");
snippet(state, "fnstcw (%rdi)\nfnstsw 2(%rdi)\nstmxcsr 4(%rdi)\nmov (%rdi), %rax");
snippet(clear_state, "fninit\nxorps %xmm0, %xmm0\nxorps %xmm15, %xmm15\npush $0x1f80\nldmxcsr (%rsp)\npop %rax\nxor %eax, %eax");

static u8 area[1024] __attribute__((aligned(64)));
static u64 scratch[2];

/* Sums of the parts of the area: of x87's registers, of the XMM registers, and of the header. */
static void print_area(void)
{
  u64 sums[3] = { 0, 0, 0 };
  static const u64 parts[][2] = { { 32, 160 }, { 160, 416 }, { 512, 576 } };
  for (int part = 0; part < 3; part++)
    for (u64 at = parts[part][0]; at < parts[part][1]; at++) sums[part] = sums[part] * 31 + area[at];
  print_field("control", *(u16 *)area);
  print_field("status", *(u16 *)(area + 2));
  print_field("tags", area[4]);
  print_field("mxcsr", *(u32 *)(area + 24));
  print_field("x87", sums[0]);
  print_field("vectors", sums[1]);
  print_field("header", sums[2]);
}

static void cpuid_line(const char *name)
{
  u32 eax = 1, ebx, ecx = 0, edx;
  begin(name);
  asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
  print_field("features", ecx >> 26 & 3);
  eax = 0xd;
  ecx = 0;
  asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
  print_field("components", eax);
  print_field("size", ebx);
  print_field("most", ecx);
}

static void extended_state(void)
{
  static const u64 wrong[] = { 0, 1, 2, 3, 4, 5, 7, 1ul << 32 | 3, 1ul << 63 | 3 };
  u64 before = read_reg(cr4), cr0 = read_reg(cr0);
  subject = "xsave";
  cpuid_line("off");
  begin("off");
  attempt("get", get_control, 0, 0);
  attempt("set", set_control, 3, 0);
  attempt("save", save, (u64)area, 3);
  attempt("restore", restore, (u64)area, 3);
  write_reg(cr4, before | OSXSAVE | OSFXSR);
  cpuid_line("on");
  begin("control");
  attempt("0", get_control, 0, 0);
  attempt("2", get_control, 2, 0);
  for (unsigned index = 0; index < sizeof(wrong) / sizeof(wrong[0]); index++) {
    begin("set");
    print_field("", wrong[index]);
    attempt("now", set_control, wrong[index], 0);
    attempt("other", set_control, wrong[index], 1);
  }
  hook = 0;
  check_user("user set", user_set_control, 0, 0);
  hook = note;
  for (u64 components = 1; components <= 3; components += 2) {
    for (u64 asked = 0; asked < 8; asked++) {
      try_code((void *)set_control, components, 0);
      static void (*const ways[])(void) = { save, save32, save_optimised };
      for (unsigned way = 0; way < 3; way++) {
        memory_set(area, 0, sizeof(area));
        area[512] = 0x80;
        begin("save");
        print_field("components", components);
        print_field("asked", asked);
        print_field("way", way);
        attempt("header", ways[way], (u64)area, asked);
        print_area();
      }
    }
  }
  try_code((void *)set_control, 3, 0);
  for (u64 present = 0; present < 4; present++) {
    for (u64 asked = 0; asked < 4; asked++) {
      memory_set(area, 0, sizeof(area));
      try_code((void *)save, (u64)area, 3);
      *(u32 *)(area + 24) = 0x1f81;
      area[512] = (u8)present;
      try_code((void *)clear_state, 0, 0);
      begin("restore");
      print_field("present", present);
      print_field("asked", asked);
      attempt("xmm0", restore, (u64)area, asked);
      attempt("state", state, (u64)scratch, 0);
    }
  }
  static const struct { u16 offset; u8 value; } bad[] = { { 512, 4 }, { 512, 8 }, { 519, 0x80 }, { 520, 1 }, { 527, 0x80 }, { 528, 1 },
                                                          { 535, 1 }, { 26, 1 }, { 27, 0x80 }, { 536, 1 } };
  for (unsigned index = 0; index < sizeof(bad) / sizeof(bad[0]); index++) {
    memory_set(area, 0, sizeof(area));
    try_code((void *)save, (u64)area, 3);
    area[bad[index].offset] |= bad[index].value;
    begin("bad");
    print_field("offset", bad[index].offset);
    attempt("xmm0", restore, (u64)area, 3);
    attempt("x87 alone", restore, (u64)area, 1);
  }
  begin("alignment");
  for (u64 offset = 1; offset <= 64; offset *= 2) attempt("at", save, (u64)area + offset, 3);
  write_reg(cr0, cr0 | 8);
  begin("task switched");
  attempt("save", save_optimised, (u64)area, 3);
  attempt("restore", restore, (u64)area, 3);
  attempt("get", get_control, 0, 0);
  write_reg(cr0, cr0);
  hook = 0;
  check_user("user get", user_get_control, 0, 0);
  hook = note;
  write_reg(cr4, before);
  subject = 0;
}

void test_main(void)
{
  /* A RET at the start of the page. */
  *(volatile u8 *)MEMORY = 0xc3;
  hook = note;
  protections();
  controls();
  bases();
  extended_state();
}
