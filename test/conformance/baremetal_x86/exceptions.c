/* Exceptions of 64-bit code: which, with what error code, in what order, on what stack; gates; returns. */
#include "bare.h"

/* Addresses that are not canonical, and what lies on the border. */
snippet(load, "mov (%rdi), %rax");
snippet(store, "mov %rax, (%rdi)");
snippet(load_rsp, "mov %rsp, %rcx\nmov %rdi, %rsp\nmov (%rsp), %rax\nmov %rcx, %rsp");
snippet(load_rbp, "push %rbp\nmov %rdi, %rbp\nmov 8(%rbp), %rax\npop %rbp");
snippet(load_ds_rsp, "mov %rsp, %rcx\nmov %rdi, %rsp\nmov %ds:(%rsp), %rax\nmov %rcx, %rsp");
snippet(push_there, "mov %rdi, %rsp\npush %rax");
snippet(pop_there, "mov %rdi, %rsp\npop %rax");
snippet(call_there, "mov %rdi, %rsp\ncall 1f\n1: nop");
snippet(ret_there, "mov %rdi, %rsp\nret");
snippet(jump_there, "jmp *%rdi");
snippet(ret_to, "push %rdi\nret");
snippet(call_to, "call *%rdi");
snippet(load_fs, "mov $0xc0000100, %ecx\nmov %edi, %eax\nshr $32, %rdi\nmov %edi, %edx\nwrmsr\nmov %fs:(%rsi), %rax");
snippet(index_there, "mov (%rdi,%rsi,8), %rax");
snippet(movs_there, "mov $0x200000, %rsi\nmov $2, %ecx\nrep movsb");
snippet(invlpg_there, "invlpg (%rdi)");
snippet(lea_there, "lea (%rdi), %rax");
snippet(prefetch_like, "nopw (%rdi)");
snippet(fxsave_there, "fxsave (%rdi)");
snippet(movaps_there, "movaps (%rdi), %xmm0");
snippet(movups_there, "movups (%rdi), %xmm0");
snippet(lgdt_there, "lgdt (%rdi)");
snippet(sidt_there, "sidt (%rdi)");

static void addresses(void)
{
  const u64 low = 0x7ffffffffff8, hole = 0x800000000000, high = 0xffff800000000000;
  /* The stack may be a bad one. */
  for (int vector = 12; vector <= 14; vector++) set_gate(vector, vector_entries + 16 * vector, SEL_CODE, 0x8e, 1);
  check("load from the hole", load, hole, 0);
  check("load from its end", load, high - 8, 0);
  check("load that reaches into it", load, low + 4, 0);
  check("load that reaches out of it", load, high - 4, 0);
  check("store to it", store, hole, 0);
  check("load by rsp", load_rsp, hole, 0);
  check("load by rbp", load_rbp, hole, 0);
  check("load by rsp with ds", load_ds_rsp, hole, 0);
  check("push", push_there, hole + 8, 0);
  check("push below", push_there, hole + 16, 0);
  check("pop", pop_there, hole, 0);
  check("call", call_there, hole + 8, 0);
  check("ret", ret_there, hole, 0);
  check("jump", jump_there, hole, 0);
  check("call to", call_to, hole, 0);
  check("ret to", ret_to, hole, 0);
  check("jump to the top", jump_there, high - 1, 0);
  check("fs base", load_fs, hole, 0);
  check("fs offset", load_fs, 0x7fffffffffff, 1);
  check("index", index_there, low, 1);
  check("movs", movs_there, hole - 1, 0);
  check("invlpg", invlpg_there, hole, 0);
  check("lea", lea_there, hole, 0);
  check("nop", prefetch_like, hole, 0);
  check("fxsave", fxsave_there, hole, 0);
  check("movaps", movaps_there, hole, 0);
  check("movaps misaligned", movaps_there, 0x200008, 0);
  check("movaps misaligned in the hole", movaps_there, hole + 8, 0);
  check("movups in the hole", movups_there, hole + 8, 0);
  check("fxsave misaligned", fxsave_there, 0x200008, 0);
  check("lgdt from there", lgdt_there, hole, 0);
  check("sidt to there", sidt_there, hole, 0);
  for (int vector = 12; vector <= 14; vector++) reset_gate(vector);
}

/* Segment registers. */
snippet(to_ds, "mov %edi, %ds\nmov %ds, %eax\nmov $0x10, %ecx\nmov %ecx, %ds");
snippet(to_es, "mov %edi, %es\nmov %es, %eax\nmov $0x10, %ecx\nmov %ecx, %es");
snippet(to_fs, "mov %edi, %fs\nmov %fs, %eax");
snippet(to_ss, "mov %edi, %ss\nmov %ss, %eax\nmov $0x10, %ecx\nmov %ecx, %ss");
snippet(pop_fs, "push %rdi\npop %fs\nmov %fs, %eax");
snippet(to_ldt, "lldt %di\nsldt %eax");
snippet(to_task, "ltr %di\nstr %eax");
snippet(rights, "xor %eax, %eax\nlar %edi, %eax\njz 1f\nmov $-1, %eax\n1:");
snippet(limit, "xor %eax, %eax\nlsl %edi, %eax\njz 1f\nmov $-1, %eax\n1:");
snippet(may_read, "mov $0, %eax\nverr %di\nsetz %al");
snippet(may_write, "mov $0, %eax\nverw %di\nsetz %al");
snippet(load_far, "sub $16, %rsp\nmov %rsi, (%rsp)\nmov %edi, 4(%rsp)\nlfs (%rsp), %eax\nadd $16, %rsp");
user_snippet(user_to_ds, "mov %edi, %ds\nmov %ds, %eax");
user_snippet(user_to_ss, "mov %edi, %ss\nmov %ss, %eax");
user_snippet(user_rights, "xor %eax, %eax\nlar %edi, %eax\njz 1f\nmov $-1, %eax\n1:");

static u16 free_selector(int index) { return (u16)(SEL_FREE + 8 * index); }

static void segments(void)
{
  static const struct { const char *name; u64 bits; } kinds[] = {
    { "not present data", 0x00cf13000000ffff },
    { "read-only data", 0x00cf91000000ffff },
    { "data of level 1", 0x00cfb3000000ffff },
    { "data of level 3", 0x00cff3000000ffff },
    { "code only to execute", 0x00af99000000ffff },
    { "conforming code", 0x00af9f000000ffff },
    { "conforming code of level 3", 0x00afff000000ffff },
    { "code with L and D", 0x00ef9b000000ffff },
    { "an empty descriptor", 0 },
    { "a call gate", 0x00008c0000080000 },
    { "data that is not accessed", 0x00cf92000000ffff },
    { "data that expands down", 0x00cf97000000ffff },
    { "a small data segment", 0x0040930000001234 },
    { "an interrupt gate", 0x00008e0000080000 },
    { "a TSS", 0x0000890000000067 },
  };
  static const struct { const char *name; void (*code)(void); } ways[] = {
    { "mov ds", to_ds }, { "mov ss", to_ss }, { "pop fs", pop_fs }, { "lar", rights }, { "lsl", limit }, { "verr", may_read },
    { "verw", may_write }, { "lldt", to_ldt },
  };
  u16 selector = free_selector(0);
  for (unsigned kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
    for (unsigned way = 0; way < sizeof(ways) / sizeof(ways[0]); way++) {
      for (u16 rpl = 0; rpl <= 3; rpl += 3) {
        descriptor(selector) = kinds[kind].bits;
        descriptor(selector + 8) = 0;
        subject = kinds[kind].name;
        check(ways[way].name, ways[way].code, selector | rpl, 0);
        print_field("descriptor", descriptor(selector));
      }
    }
    descriptor(selector) = kinds[kind].bits;
    check_user("user mov ds", user_to_ds, selector | 3, 0);
    check_user("user mov ss", user_to_ss, selector | 3, 0);
    check_user("user lar", user_rights, selector, 0);
  }
  subject = 0;
  descriptor(selector) = 0x00cf93000000ffff;
  check("null ds", to_ds, 0, 0);
  check("null ds with RPL 3", to_ds, 3, 0);
  check("null ss", to_ss, 0, 0);
  check("null ss with RPL 3", to_ss, 3, 0);
  check_user("user null ss", user_to_ss, 3, 0);
  check_user("user null ds", user_to_ds, 0, 0);
  check("beyond the table", to_ds, 0xfff8, 0);
  check("beyond the table ss", to_ss, 0xfff8, 0);
  check("of no LDT", to_ds, 0xc, 0);
  check("es", to_es, SEL_USER_DATA | 3, 0);
  check("lfs", load_far, SEL_USER_DATA, 0x1234);
  check("lfs of a bad selector", load_far, 0xfff0, 0x1234);
  check("ltr null", to_task, 0, 0);
  descriptor(SEL_TSS) = (descriptor(SEL_TSS) & ~(0xfful << 40)) | 0x89ul << 40;
  check("ltr", to_task, SEL_TSS, 0);
  check("ltr data", to_task, SEL_DATA, 0);
  check("ltr busy", to_task, SEL_TSS, 0);
  check("ltr beyond", to_task, 0xfff8, 0);
  check("ltr of the LDT", to_task, 0xc, 0);
  check("lldt null", to_ldt, 0, 0);
  check("lldt in itself", to_ldt, 4, 0);
  /* An LDT of one descriptor, at an address above 4 GiB it has no. */
  static u64 table[2] = { 0x00cf93000000ffff, 0x00cff3000000ffff };
  u64 at = (u64)table;
  descriptor(selector) = 15 | (at & 0xffffff) << 16 | 0x82ul << 40 | (at >> 24 & 0xff) << 56;
  descriptor(selector + 8) = 0;
  check("lldt", to_ldt, selector, 0);
  check("ds of the LDT", to_ds, 4, 0);
  check("ds of the LDT's second", to_ds, 0xf, 0);
  check("ds beyond the LDT", to_ds, 0x14, 0);
  descriptor(selector + 8) = 0x8000;
  check("lldt whose base is not canonical", to_ldt, selector, 0);
  descriptor(selector) &= ~(0x80ul << 40);
  descriptor(selector + 8) = 0;
  check("lldt that is not present", to_ldt, selector, 0);
  check("lldt null again", to_ldt, 0, 0);
}

/* Privileged instructions at CPL 3. */
#define user_only(name, text) user_snippet(name, text)
user_only(u_cli, "cli"); user_only(u_sti, "sti"); user_only(u_hlt, "hlt"); user_only(u_in, "in $0x80, %al"); user_only(u_out, "out %al, $0x80");
user_only(u_lgdt, "lgdt (%rsp)"); user_only(u_sgdt, "sgdt -16(%rsp)"); user_only(u_lmsw, "lmsw %ax"); user_only(u_smsw, "smsw %ax"); user_only(u_cr, "mov %cr0, %rax");
user_only(u_cr8, "mov %cr8, %rax"); user_only(u_dr, "mov %db7, %rax"); user_only(u_clts, "clts"); user_only(u_invlpg, "invlpg (%rax)"); user_only(u_wbinvd, "wbinvd");
user_only(u_rdmsr, "mov $0x1b, %ecx\nrdmsr"); user_only(u_swapgs, "swapgs"); user_only(u_sysret, "sysretq"); user_only(u_lldt, "lldt %ax"); user_only(u_ltr, "ltr %ax");
user_only(u_str, "str %eax"); user_only(u_int3, "int3"); user_only(u_int4, "int $4"); user_only(u_int80, "int $0x81"); user_only(u_popf, "push $0x3202\npopf\npushf\npop %rax");
user_only(u_pushf, "pushf\npop %rax"); user_only(u_ud2, "ud2"); user_only(u_rdtsc, "rdtsc\nxor %eax, %eax"); user_only(u_rdpmc, "rdpmc"); user_only(u_insb, "mov $0x80, %edx\ninsb");
user_only(u_outs, "mov $0x80, %edx\nmov $-16, %rsi\nadd %rsp, %rsi\noutsb"); user_only(u_iret, "push $0x33\npush %rsp\npush $0x3002\npush $0x3b\npush $1f\niretq\n1: pushf\npop %rax");
user_only(u_iret_in, "push $0x10\npush %rsp\npush $2\npush $0x8\npush $1f\niretq\n1: nop"); user_only(u_lret_in, "push $8\npush $1f\nlretq\n1: nop");
user_only(u_kernel, "mov 0x200000, %rax");

static void privileges(void)
{
  check_user("cli", u_cli, 0, 0); check_user("sti", u_sti, 0, 0); check_user("hlt", u_hlt, 0, 0); check_user("in", u_in, 0, 0);
  check_user("out", u_out, 0, 0); check_user("lgdt", u_lgdt, 0, 0); check_user("lmsw", u_lmsw, 0, 0); check_user("smsw", u_smsw, 0, 0);
  check_user("mov cr0", u_cr, 0, 0); check_user("mov cr8", u_cr8, 0, 0); check_user("mov dr7", u_dr, 0, 0); check_user("clts", u_clts, 0, 0);
  check_user("invlpg", u_invlpg, 0, 0); check_user("wbinvd", u_wbinvd, 0, 0); check_user("rdmsr", u_rdmsr, 0, 0); check_user("swapgs", u_swapgs, 0, 0);
  check_user("sysret", u_sysret, 0, 0); check_user("lldt", u_lldt, 0, 0); check_user("ltr", u_ltr, 0, 0); check_user("str", u_str, 0, 0);
  check_user("sgdt", u_sgdt, 0, 0); check_user("int3", u_int3, 0, 0); check_user("int 4", u_int4, 0, 0); check_user("int 0x81", u_int80, 0, 0);
  check_user("popf", u_popf, 0, 0); check_user("pushf", u_pushf, 0, 0); check_user("ud2", u_ud2, 0, 0); check_user("rdtsc", u_rdtsc, 0, 0);
  check_user("rdpmc", u_rdpmc, 0, 0); check_user("ins", u_insb, 0, 0); check_user("outs", u_outs, 0, 0); check_user("iret", u_iret, 0, 0);
  check_user("iret inwards", u_iret_in, 0, 0); check_user("lret inwards", u_lret_in, 0, 0); check_user("user page", u_kernel, 0, 0);
  write_reg(cr4, read_reg(cr4) | 4);
  check_user("rdtsc with TSD", u_rdtsc, 0, 0);
  write_reg(cr4, read_reg(cr4) & ~4ul);
  tss.bits[16] = 0xfe;
  check_user("in that is permitted", u_in, 0, 0);
  check_user("ins that is permitted", u_insb, 0, 0);
  tss.bits[16] = 0xff;
  extern u64 user_flags;
  user_flags = 0x3002;
  check_user("in with IOPL 3", u_in, 0, 0); check_user("cli with IOPL 3", u_cli, 0, 0); check_user("popf with IOPL 3", u_popf, 0, 0);
  check_user("hlt with IOPL 3", u_hlt, 0, 0);
  user_flags = 2;
  set_gate(4, vector_entries + 16 * 4, SEL_CODE, 0xee, 0);
  check_user("int 4 by a gate for all", u_int4, 0, 0);
  reset_gate(4);
}

/* Gates. */
snippet(int_40, "int $0x40");
snippet(int_ff, "int $0xff");
snippet(int3, "int3");
snippet(int1, ".byte 0xf1");
snippet(ud2, "ud2");
snippet(divide, "xor %ecx, %ecx\nmov $1, %eax\ncltd\nidiv %ecx");
snippet(divide_most, "mov $-1, %ecx\nmov $0x80000000, %eax\ncltd\nidiv %ecx");
user_snippet(user_ud2, "ud2");
user_snippet(user_int_40, "int $0x40");

/* Shows the stack and flags in the handler. */
static int show_entry(struct frame *frame)
{
  u64 here = (u64)frame;
  print(here < (u64)kernel_stack_top - 8192   ? "usual stack "
        : here < (u64)kernel_stack_top        ? "rsp0 "
        : here < (u64)ist_stack_top           ? "ist1 "
        : here < (u64)other_stack_top         ? "ist2 "
                                              : "another stack ");
  u64 flags;
  asm volatile("pushf; pop %0" : "=r"(flags));
  print_field("if", flags >> 9 & 1);
  print_field("ss", read_reg(ss));
  print_field("align", (u64)(&frame->ss + 1) & 15);
  return 0;
}

snippet(int_40_if, "pushf\norl $0x4200, (%rsp)\npopf\nint $0x40");
snippet(int_40_misaligned, "push %rax\nint $0x40");

static void gates(void)
{
  void *entry = vector_entries + 16 * 0x40;
  hook = show_entry;
  check("interrupt gate", int_40_if, 0, 0);
  set_gate(0x40, entry, SEL_CODE, 0x8f, 0);
  check("trap gate", int_40_if, 0, 0);
  check("misaligned stack", int_40_misaligned, 0, 0);
  set_gate(0x40, entry, SEL_CODE, 0x8e, 1);
  check("ist 1", int_40, 0, 0);
  set_gate(0x40, entry, SEL_CODE, 0x8e, 2);
  check("ist 2", int_40, 0, 0);
  set_gate(0x40, entry, SEL_CODE, 0xee, 0);
  check_user("from user code", user_int_40, 0, 0);
  set_gate(0x40, entry, SEL_CODE, 0xee, 1);
  check_user("from user code, ist 1", user_int_40, 0, 0);
  check_user("ud2 from user code", user_ud2, 0, 0);
  set_gate(0x40, entry, SEL_CODE | 3, 0x8e, 0);
  check("selector with RPL 3", int_40, 0, 0);
  u64 rsp0 = tss.rsp[0];
  tss.rsp[0] = (u64)kernel_stack_top - 4;
  check_user("misaligned rsp0", user_ud2, 0, 0);
  tss.rsp[0] = rsp0;
  hook = 0;
  static const struct { const char *name; u16 selector; u8 type; } bad[] = {
    { "not present", SEL_CODE, 0x0e }, { "call gate", SEL_CODE, 0x8c }, { "task gate", SEL_CODE, 0x85 }, { "16-bit gate", SEL_CODE, 0x86 },
    { "null selector", 0, 0x8e }, { "data selector", SEL_DATA, 0x8e }, { "selector beyond", 0xfff8, 0x8e }, { "32-bit code", SEL_CODE32, 0x8e },
    { "user code", SEL_USER, 0x8e }, { "ordinary", SEL_CODE, 0x9e }, { "not present, not for users", SEL_CODE, 0x0e }, { "type 0", SEL_CODE, 0x80 },
  };
  for (unsigned index = 0; index < sizeof(bad) / sizeof(bad[0]); index++) {
    set_gate(0x40, entry, bad[index].selector, bad[index].type, 0);
    check(bad[index].name, int_40, 0, 0);
    set_gate(0, vector_entries, bad[index].selector, bad[index].type, 0);
    check("the same of #DE", divide, 0, 0);
    reset_gate(0);
    set_gate(0x40, entry, bad[index].selector, bad[index].type, 0);
    check_user("the same from user code", user_int_40, 0, 0);
  }
  descriptor(free_selector(0)) = 0x00af1b000000ffff;
  set_gate(0x40, entry, free_selector(0), 0x8e, 0);
  check("code that is not present", int_40, 0, 0);
  descriptor(free_selector(0)) = 0x00af9f000000ffff;
  set_gate(0x40, entry, free_selector(0), 0xee, 0);
  check("conforming code", int_40, 0, 0);
  idt[0x40].high = 0x8000;
  reset_gate(0x40);
  idt[0x40].high = 0x8000;
  check("offset that is not canonical", int_40, 0, 0);
  reset_gate(0x40);
  u64 ist = tss.ist[2];
  tss.ist[2] = 0x800000000000;
  set_gate(0x40, entry, SEL_CODE, 0x8e, 3);
  check("ist that is not canonical", int_40, 0, 0);
  tss.ist[2] = 0x10000000000;
  check("ist that is not mapped", int_40, 0, 0);
  tss.ist[2] = ist;
  tss.rsp[0] = 0x800000000000;
  set_gate(13, vector_entries + 16 * 13, SEL_CODE, 0x8e, 1);
  set_gate(12, vector_entries + 16 * 12, SEL_CODE, 0x8e, 1);
  set_gate(8, vector_entries + 16 * 8, SEL_CODE, 0x8e, 1);
  check_user("rsp0 that is not canonical", user_ud2, 0, 0);
  tss.rsp[0] = rsp0;
  reset_gate(13);
  reset_gate(12);
  reset_gate(0x40);
  struct { u16 limit; void *base; } __attribute__((packed)) image = { 16 * 0x41 - 1, idt };
  asm volatile("lidt %0" ::"m"(image));
  check("the last gate", int_40, 0, 0);
  check("beyond the limit", int_ff, 0, 0);
  image.limit = 16 * 0x41 - 2;
  asm volatile("lidt %0" ::"m"(image));
  check("half beyond the limit", int_40, 0, 0);
  image.limit = sizeof(idt) - 1;
  asm volatile("lidt %0" ::"m"(image));
  check("int3", int3, 0, 0);
  check("int1", int1, 0, 0);
  check("ud2", ud2, 0, 0);
  check("divide by zero", divide, 0, 0);
  check("divide overflow", divide_most, 0, 0);
}

/* Double faults, which go to their own stack. */
snippet(fault_with_no_stack, "mov %rdi, %rsp\nud2");
snippet(page_fault, "movabs $0x10000000000, %rax\nmov (%rax), %rax");
snippet(general_fault, "movabs $0x800000000000, %rax\nmov (%rax), %rax");

static void double_faults(void)
{
  set_gate(8, vector_entries + 16 * 8, SEL_CODE, 0x8e, 1);
  static const struct { const char *name; int vector; void (*code)(void); } firsts[] = {
    { "#DE", 0, divide }, { "#UD", 6, ud2 }, { "#GP", 13, general_fault }, { "#PF", 14, page_fault }, { "#BP", 3, int3 }, { "#DB", 1, int1 },
    { "int 0x40", 0x40, int_40 },
  };
  for (unsigned index = 0; index < sizeof(firsts) / sizeof(firsts[0]); index++) {
    int vector = firsts[index].vector;
    subject = firsts[index].name;
    set_gate(vector, vector_entries + 16 * vector, SEL_CODE, 0x0e, 0);
    check("then #NP", firsts[index].code, 0, 0);
    set_gate(vector, vector_entries + 16 * vector, SEL_DATA, 0x8e, 0);
    check("then #GP", firsts[index].code, 0, 0);
    tss.ist[3] = 0x20000000000;
    set_gate(vector, vector_entries + 16 * vector, SEL_CODE, 0x8e, 4);
    set_gate(14, vector_entries + 16 * 14, SEL_CODE, 0x8e, vector == 14 ? 4 : 1);
    check("then #PF", firsts[index].code, 0, 0);
    tss.ist[3] = 0x800000000000;
    reset_gate(14);
    set_gate(vector, vector_entries + 16 * vector, SEL_CODE, 0x8e, 4);
    set_gate(12, vector_entries + 16 * 12, SEL_CODE, 0x8e, 1);
    check("then #SS", firsts[index].code, 0, 0);
    reset_gate(12);
    reset_gate(vector);
  }
  subject = 0;
  set_gate(14, vector_entries + 16 * 14, SEL_CODE, 0x8e, 2);
  check("a stack that is not mapped", fault_with_no_stack, 0x30000000008, 0);
  set_gate(12, vector_entries + 16 * 12, SEL_CODE, 0x8e, 2);
  check("a stack that is not canonical", fault_with_no_stack, 0x800000000010, 0);
  reset_gate(14);
  reset_gate(12);
  check("both, then #DF", fault_with_no_stack, 0x30000000008, 0);
  reset_gate(8);
}

/* Returns. */
snippet(iret_to, "mov %rsp, %rdx\npush %rsi\npush %rdx\npush $2\npush %rdi\npush $1f\niretq\n1: mov %ss, %eax\nmov %cs, %ecx\nshl $16, %ecx\nor %ecx, %eax\nmov $0x10, %ecx\nmov %ecx, %ss");
snippet(iret_flags, "mov %rsp, %rdx\npush $0x10\npush %rdx\npush %rdi\npush $8\npush $1f\niretq\n1: pushf\npop %rax\npush $2\npopf");
snippet(iret_rip, "push $0x10\npush %rsp\npush $2\npush $8\npush %rdi\niretq");
snippet(iret_rsp, "push $0x33\npush %rdi\npush $2\npush $0x3b\npush $2f\niretq\n2: int3");
snippet(iret32, "mov %rsp, %rdx\nsub $12, %rsp\nmovl $1f, (%rsp)\nmovl $8, 4(%rsp)\nmovl $2, 8(%rsp)\nsub $0, %rsp\n.byte 0xcf\n1: mov %rdx, %rsp");
snippet(lret_to, "push %rdi\npush $1f\nlretq\n1: mov %cs, %eax\nmov $0x08, %ecx\npush $8\npush $2f\nlretq\n2:");
snippet(lret_outer, "push $0x33\npush %rsi\npush %rdi\npush $1f\nlretq\n1: mov %cs, %eax\nint3");
snippet(lcall_to, "sub $16, %rsp\nmov %rdi, 8(%rsp)\nmovq $1f, (%rsp)\nrex.W lcall *(%rsp)\n1: nop\nud2");
snippet(ljmp_to, "sub $16, %rsp\nmov %rsi, (%rsp)\nmov %di, 8(%rsp)\nrex.W ljmp *(%rsp)\n1:");
snippet(ljmp32_to, "sub $16, %rsp\nmovl $1f, (%rsp)\nmov %di, 4(%rsp)\nljmp *(%rsp)\n1: mov %cs, %eax\nadd $16, %rsp");
user_snippet(user_iret_null, "push $3\npush %rsp\npush $2\npush $0x3b\npush $1f\niretq\n1: nop");

static void returns(void)
{
  check("iret to the same", iret_to, SEL_CODE, SEL_DATA);
  check("iret with a null ss", iret_to, SEL_CODE, 0);
  check("iret with a user's ss", iret_to, SEL_CODE, SEL_USER_DATA | 3);
  check("iret to data", iret_to, SEL_DATA, SEL_DATA);
  check("iret to null", iret_to, 0, SEL_DATA);
  check("iret beyond", iret_to, 0xfff8, SEL_DATA);
  check("iret to user code of RPL 0", iret_to, SEL_USER, SEL_DATA);
  check("iret to code with RPL 3", iret_to, SEL_CODE | 3, SEL_DATA);
  check("iret to user code with a null ss", iret_to, SEL_USER | 3, 3);
  check("iret to user code with ss of level 0", iret_to, SEL_USER | 3, SEL_DATA);
  check("iret to user code with ss beyond", iret_to, SEL_USER | 3, 0xfffb);
  descriptor(free_selector(1)) = 0x00af1b000000ffff;
  check("iret to code that is not present", iret_to, free_selector(1), SEL_DATA);
  descriptor(free_selector(1)) = 0x00cf13000000ffff;
  check("iret to ss that is not present", iret_to, SEL_CODE, free_selector(1));
  descriptor(free_selector(1)) = 0x00ef9b000000ffff;
  check("iret to code with L and D", iret_to, free_selector(1), SEL_DATA);
  descriptor(free_selector(1)) = 0x00af9f000000ffff;
  check("iret to conforming code", iret_to, free_selector(1), SEL_DATA);
  check("iret with flags", iret_flags, 0x247ed7 & ~0x4300, 0);
  check("iret with IOPL", iret_flags, 0x3002, 0);
  check("iret with VM", iret_flags, 0x20002, 0);
  check("iret with NT set", iret_flags, 0x4002, 0);
  check("iret to an address that is not canonical", iret_rip, 0x800000000000, 0);
  check("iret to a stack that is not canonical", iret_rsp, 0x800000000000, 0);
  check_user("user iret to a null ss", user_iret_null, 0, 0);
  check("lret to the same", lret_to, SEL_CODE, 0);
  check("lret to data", lret_to, SEL_DATA, 0);
  check("lret to null", lret_to, 0, 0);
  check("lret to RPL 3 of level 0", lret_to, SEL_CODE | 3, 0);
  check("lret outwards", lret_outer, SEL_USER | 3, (u64)user_stack_top);
  check("lret outwards to 32-bit code", lret_outer, SEL_USER32 | 3, (u64)user_stack_top);
  check("lcall to data", lcall_to, SEL_DATA, 0);
  check("lcall to null", lcall_to, 0, 0);
  check("lcall to the same", lcall_to, SEL_CODE, 0);
  check("lcall to user code", lcall_to, SEL_USER | 3, 0);
  check("ljmp off canonical", ljmp_to, SEL_CODE, 0x800000000000);
  check("ljmp to a TSS", ljmp32_to, SEL_TSS, 0);
  check("ljmp", ljmp32_to, SEL_CODE, 0);
  check("ljmp with RPL 3", ljmp32_to, SEL_CODE | 3, 0);
  check("ljmp to code that is not there", ljmp32_to, 0xfff8, 0);
  descriptor(free_selector(1)) = 0x00afbf000000ffff;
  check("ljmp to conforming code of level 1", ljmp32_to, free_selector(1), 0);
  descriptor(free_selector(1)) = 0x00af9f000000ffff;
  check("ljmp to conforming code", ljmp32_to, free_selector(1), 0);
}

/* Call gates: a 16-byte descriptor. */
snippet(gate_target, "mov %cs, %eax\nlretq");
snippet(use_gate, "sub $16, %rsp\nmovl $0, (%rsp)\nmov %edi, 4(%rsp)\nlcall *(%rsp)\nadd $16, %rsp");
user_snippet(user_gate, "sub $16, %rsp\nmovl $0, (%rsp)\nmov %edi, 4(%rsp)\nlcall *(%rsp)\nadd $16, %rsp\nmov %cs, %ecx\nshl $16, %ecx\nor %ecx, %eax");
user_snippet(user_gate_jump, "sub $16, %rsp\nmovl $0, (%rsp)\nmov %edi, 4(%rsp)\nljmp *(%rsp)");
void gate_shows(void);
asm(".pushsection .text\ngate_shows: mov %cs, %eax\nmov %ss, %ecx\nshl $8, %ecx\nor %ecx, %eax\nmov 24(%rsp), %rcx\nshl $16, %rcx\nor %rcx, %rax\nmov kernel_stack_top_value, %rcx\nsub %rsp, %rcx\nshl $32, %rcx\nadd %rcx, %rax\nlretq\n"
    ".balign 8\nkernel_stack_top_value: .quad kernel_stack_top\n.popsection");

static void set_call_gate(u16 selector, void *target, u16 code, u8 type)
{
  u64 at = (u64)target;
  descriptor(selector) = (at & 0xffff) | (u64)code << 16 | (u64)type << 40 | (at >> 16 & 0xffff) << 48;
  descriptor(selector + 8) = at >> 32;
}

static void call_gates(void)
{
  u16 selector = free_selector(2);
  set_call_gate(selector, gate_target, SEL_CODE, 0x8c);
  check("call gate", use_gate, selector, 0);
  check_user("call gate not for users", user_gate, selector | 3, 0);
  set_call_gate(selector, gate_shows, SEL_CODE, 0xec);
  check_user("call gate for users", user_gate, selector | 3, 0);
  check_user("call gate by a jump", user_gate_jump, selector | 3, 0);
  set_call_gate(selector, gate_target, SEL_USER | 3, 0xec);
  check_user("call gate to the same level", user_gate, selector | 3, 0);
  set_call_gate(selector, gate_target, SEL_CODE, 0x0c);
  check("call gate that is not present", use_gate, selector, 0);
  set_call_gate(selector, gate_target, SEL_DATA, 0x8c);
  check("call gate to data", use_gate, selector, 0);
  set_call_gate(selector, gate_target, SEL_CODE32, 0x8c);
  check("call gate to 32-bit code", use_gate, selector, 0);
  set_call_gate(selector, gate_target, 0, 0x8c);
  check("call gate to null", use_gate, selector, 0);
  set_call_gate(selector, (void *)0x800000000000, SEL_CODE, 0x8c);
  check("call gate off canonical", use_gate, selector, 0);
  set_call_gate(selector, gate_target, SEL_CODE, 0x84);
  check("call gate of 16 bits", use_gate, selector, 0);
  set_call_gate(selector, gate_target, SEL_CODE, 0x8c);
  descriptor(selector + 8) |= 0x0100ul << 32;
  check("call gate with a type in its upper half", use_gate, selector, 0);
  u64 rsp0 = tss.rsp[0];
  set_call_gate(selector, gate_target, SEL_CODE, 0xec);
  tss.rsp[0] = 0x800000000000;
  set_gate(13, vector_entries + 16 * 13, SEL_CODE, 0x8e, 1);
  set_gate(12, vector_entries + 16 * 12, SEL_CODE, 0x8e, 1);
  check_user("call gate to a stack off canonical", user_gate, selector | 3, 0);
  tss.rsp[0] = rsp0;
  reset_gate(12);
  reset_gate(13);
}

/* SYSCALL, SYSRET, SWAPGS. */
user_snippet(user_syscall, "mov $0x1234, %eax\nsyscall\n1: mov %ss, %ecx\nmov %cs, %edx\nshl $16, %edx\nor %edx, %ecx\nmov %ecx, %eax\npushf\npop %rdx\nshl $32, %rdx\nor %rdx, %rax");
user_snippet(user_syscall_flags, "push $0xcd7\npopf\nsyscall\nmov %r10, %rax");
void syscall_entry(void);
asm(".pushsection .text\nsyscall_entry: mov %cs, %r8d\nmov %ss, %r9d\nmov %r11, %r10\npushf\npop %r12\nshl $32, %r12\nor %r12, %r10\nsysretq\n.popsection");
void syscall_print(void);
asm(".pushsection .text\nsyscall_print: int3\n.popsection");
snippet(sysret_off, "mov %rdi, %rcx\nmov $2, %r11d\nsysretq");
snippet(sysret_32, "mov $1f, %ecx\nmov $2, %r11d\nsysretl\n.code32\n1: mov %cs, %eax\nint3\n.code64\n");
snippet(swap, "swapgs\nmov $0xc0000101, %ecx\nrdmsr\nswapgs");
snippet(kernel_syscall, "syscall\n1: mov %cs, %eax");
void kernel_syscall_entry(void);
asm(".pushsection .text\nkernel_syscall_entry: jmp *%rcx\n.popsection");
extern u64 user_flags;

static void system_calls(void)
{
  write_msr(MSR_STAR, (u64)SEL_USER32 << 48 | (u64)SEL_CODE << 32);
  write_msr(MSR_LSTAR, (u64)syscall_entry);
  write_msr(MSR_FMASK, 0x4700);
  check_user("syscall and sysret", user_syscall, 0, 0);
  check_user("syscall with flags", user_syscall_flags, 0, 0);
  write_msr(MSR_STAR, (u64)(SEL_USER32 | 3) << 48 | (u64)(SEL_CODE | 3) << 32);
  check_user("syscall with RPLs in STAR", user_syscall, 0, 0);
  write_msr(MSR_STAR, (u64)SEL_USER32 << 48 | (u64)SEL_CODE << 32);
  write_msr(MSR_LSTAR, (u64)syscall_print);
  check_user("syscall that traps", user_syscall, 0, 0);
  write_msr(MSR_LSTAR, (u64)kernel_syscall_entry);
  check("syscall of the kernel", kernel_syscall, 0, 0);
  check("sysret to 32-bit code", sysret_32, 0, 0);
  write_msr(MSR_EFER, read_msr(MSR_EFER) & ~1ul);
  check_user("syscall without SCE", user_syscall, 0, 0);
  check("sysret without SCE", sysret_off, 0, 0);
  write_msr(MSR_EFER, read_msr(MSR_EFER) | 1);
  write_msr(MSR_GS, 0x11110000);
  write_msr(MSR_KERNEL_GS, 0x22220000);
  check("swapgs", swap, 0, 0);
  print_field("gs", read_msr(MSR_GS));
  print_field("kernel", read_msr(MSR_KERNEL_GS));
}

/* Model-specific and control registers. */
snippet(rdmsr, "mov %edi, %ecx\nrdmsr\nshl $32, %rdx\nmov %eax, %eax\nor %rdx, %rax");
snippet(wrmsr, "mov %edi, %ecx\nmov %esi, %eax\nmov %rsi, %rdx\nshr $32, %rdx\nwrmsr\nxor %eax, %eax");
snippet(to_cr0, "mov %cr0, %rcx\nmov %rdi, %cr0\nmov %cr0, %rax\nmov %rcx, %cr0");
snippet(to_cr3, "mov %cr3, %rcx\nmov %rdi, %cr3\nmov %cr3, %rax\nmov %rcx, %cr3");
snippet(to_cr4, "mov %cr4, %rcx\nmov %rdi, %cr4\nmov %cr4, %rax\nmov %rcx, %cr4");
snippet(to_cr8, "mov %rdi, %cr8\nmov %cr8, %rax\nxor %ecx, %ecx\nmov %rcx, %cr8");
snippet(to_cr2, "mov %rdi, %cr2\nmov %cr2, %rax");
snippet(cr1, ".byte 0x0f, 0x20, 0xc8");
snippet(cr5, ".byte 0x0f, 0x20, 0xe8");
snippet(dr4, "mov %db4, %rax");
snippet(dr_values, "mov %rdi, %db7\nmov %db7, %rax\nxor %ecx, %ecx\nmov %rcx, %db7");
snippet(dr6_values, "mov %rdi, %db6\nmov %db6, %rax");
snippet(lmsw, "mov %cr0, %rcx\nlmsw %di\nmov %cr0, %rax\nmov %rcx, %cr0");

static void registers(void)
{
  static const u32 numbers[] = { 0, 0x1b, 0x174, 0x175, 0x176, 0x1234, 0x277, 0x40000100, 0xc0000080, 0xc0000081, 0xc0000082, 0xc0000084, 0xc0000105, 0xc0000100, 0xdeadbeef, 0xffffffff };
  for (unsigned index = 0; index < sizeof(numbers) / sizeof(numbers[0]); index++) {
    if (numbers[index] == 0x1b) continue;
    check("rdmsr", rdmsr, numbers[index], 0);
    print_field("number", numbers[index]);
  }
  static const u32 addresses_in[] = { MSR_LSTAR, MSR_CSTAR, MSR_FS, MSR_GS, MSR_KERNEL_GS };
  for (unsigned index = 0; index < sizeof(addresses_in) / sizeof(addresses_in[0]); index++) {
    check("wrmsr of an address off canonical", wrmsr, addresses_in[index], 0x800000000000);
    check("wrmsr of the last address below", wrmsr, addresses_in[index], 0x7fffffffffff);
    check("then rdmsr", rdmsr, addresses_in[index], 0);
  }
  check("wrmsr that is not there", wrmsr, 0x1234, 0);
  check("efer: clear LME", wrmsr, MSR_EFER, 0xc01);
  check("efer: reserved", wrmsr, MSR_EFER, 0xf01 | 1 << 20);
  check("efer: reserved low", wrmsr, MSR_EFER, 0xd03);
  check("efer: the same", wrmsr, MSR_EFER, 0xd01);
  check("efer", rdmsr, MSR_EFER, 0);
  u64 cr0 = read_reg(cr0), cr4 = read_reg(cr4);
  print_field("cr0", cr0);
  print_field("cr4", cr4);
  check("cr0: upper half", to_cr0, cr0 | 1ul << 32, 0);
  check("cr0: NW without CD", to_cr0, cr0 | 1 << 29, 0);
  check("cr0: CD", to_cr0, cr0 | 1 << 30, 0);
  check("cr0: ET", to_cr0, cr0 & ~0x10ul, 0);
  check("cr0: AM, WP", to_cr0, (cr0 | 1 << 18) & ~0x10000ul, 0);
  check("cr0: EM, TS", to_cr0, cr0 | 12, 0);
  check("cr3: PWT, PCD", to_cr3, read_reg(cr3) | 0x18, 0);
  check("cr4: OSFXSR, OSXMMEXCPT", to_cr4, cr4 | 0x600, 0);
  check("cr2", to_cr2, 0x800000000000, 0);
  check("cr8", to_cr8, 15, 0);
  check("cr8: 16", to_cr8, 16, 0);
  check("cr1", cr1, 0, 0);
  check("cr5", cr5, 0, 0);
  check("dr4", dr4, 0, 0);
  check("dr7", dr_values, 0, 0);
  check("dr7: all but GD and enables", dr_values, 0xffffdf00, 0);
  check("dr7: upper half", dr_values, 1ul << 32, 0);
  check("dr6", dr6_values, 0, 0);
  check("dr6: all", dr6_values, 0xffffffff, 0);
  check("dr6: upper half", dr6_values, 1ul << 32, 0);
  check("lmsw", lmsw, 0xfffe, 0);
  check("lmsw: clear", lmsw, 0, 0);
}

/* #NM, #MF, #XM. */
snippet(fnop, "fnop");
snippet(fwait, "fwait");
snippet(fild, "fildl (%rdi)");
snippet(sse, "addps %xmm0, %xmm1");
snippet(sse_zero, "xorps %xmm0, %xmm0\nmovss one, %xmm1\ndivss %xmm0, %xmm1");
snippet(mxcsr, "push %rdi\nldmxcsr (%rsp)\npop %rdi\npush $0\nstmxcsr (%rsp)\npop %rax");
snippet(x87_zero, "fninit\npush %rdi\nfldcw (%rsp)\npop %rdi\nfldz\nfld1\nfdivp\nfnop\nfnstsw %ax\nfnclex");
snippet(x87_zero_wait, "fninit\npush %rdi\nfldcw (%rsp)\npop %rdi\nfldz\nfld1\nfdivp\nfwait\nfnstsw %ax\nfnclex");
snippet(emms, "emms");
snippet(mmx, "pxor %mm0, %mm0\nmovd %edi, %mm1\npaddb %mm1, %mm0\nmovd %mm0, %eax\nemms");
snippet(mmx_sse, "pxor %mm0, %mm0\nmovd %edi, %mm1\npavgb %mm1, %mm0\nmovd %mm0, %eax\nemms");
snippet(mmx_xmm, "movd %edi, %mm1\nmovq2dq %mm1, %xmm0\nmovd %xmm0, %eax\nemms");
snippet(mmx_zero, "fninit\npush %rdi\nfldcw (%rsp)\npop %rdi\nfldz\nfld1\nfdivp\npaddb (%rsi), %mm0\nfnclex");
asm(".pushsection .rodata\n.balign 4\none: .float 1.0\n.popsection");

static void float_traps(void)
{
  u64 cr0 = read_reg(cr0), cr4 = read_reg(cr4);
  asm volatile("fninit");
  static const struct { const char *name; u64 cr0, cr4; } states[] = {
    { "plain", 0, 0x600 }, { "TS", 8, 0x600 }, { "EM", 4, 0x600 }, { "EM and TS", 12, 0x600 }, { "no OSFXSR", 0, 0 }, { "no OSXMMEXCPT", 0, 0x200 },
    { "TS, no OSFXSR", 8, 0 },
  };
  for (unsigned index = 0; index < sizeof(states) / sizeof(states[0]); index++) {
    subject = states[index].name;
    write_reg(cr0, cr0 | states[index].cr0);
    write_reg(cr4, cr4 | states[index].cr4);
    check("fnop", fnop, 0, 0);
    check("fwait", fwait, 0, 0);
    check("fild", fild, 0x201000, 0);
    check("fild of a bad page", fild, 0x10000000000, 0);
    check("sse", sse, 0, 0);
    check("emms", emms, 0, 0);
    check("mmx", mmx, 0x12345678, 0);
    check("mmx of sse", mmx_sse, 0x12345678, 0);
    check("mmx and xmm", mmx_xmm, 0x12345678, 0);
    check("fxsave", fxsave_there, 0x201000, 0);
    check("fxsave misaligned", fxsave_there, 0x201008, 0);
    check("ldmxcsr", mxcsr, 0x1f80, 0);
    write_reg(cr0, cr0);
    write_reg(cr4, cr4);
  }
  subject = 0;
  write_reg(cr4, cr4 | 0x600);
  check("ldmxcsr: reserved", mxcsr, 0x11f80, 0);
  check("mxcsr that masks no division by zero", mxcsr, 0x1d80, 0);
  check("division by zero", sse_zero, 0, 0);
  write_reg(cr4, cr4 | 0x200);
  check("division by zero without OSXMMEXCPT", sse_zero, 0, 0);
  write_reg(cr4, cr4 | 0x600);
  check("mxcsr", mxcsr, 0x1f80, 0);
  check("x87, masked", x87_zero, 0x37f, 0);
  check("x87, not masked", x87_zero, 0x37b, 0);
  asm volatile("fnclex");
  check("x87, not masked, fwait", x87_zero_wait, 0x37b, 0);
  asm volatile("fnclex");
  check("mmx, x87 not masked", mmx_zero, 0x37b, 0x10000000000);
  asm volatile("fnclex; fninit");
  write_reg(cr4, cr4);
}

/* Compatibility mode: 32-bit user code under the same tables. */
void compat_code(void);
asm(".pushsection .text\n.code32\n.balign 16\n.global compat_code\ncompat_code: mov $0x11223344, %eax\npush %eax\ninc %eax\nint $0x80\n"
    ".global compat_load\ncompat_load: mov (%edi), %eax\nint $0x80\n"
    ".global compat_wrap\ncompat_wrap: mov $0xfffffffe, %ecx\nmov 0x200002(%ecx), %eax\nint $0x80\n"
    ".global compat_syscall\ncompat_syscall: syscall\nint $0x80\n"
    ".global compat_sysenter\ncompat_sysenter: sysenter\nint $0x80\n"
    ".global compat_ljmp\ncompat_ljmp: ljmp $0x3b, $1f\n.code64\n1: mov %cs, %eax\nmov $0x1122334455667788, %rcx\nshr $32, %rcx\nshl $32, %rcx\nor %rcx, %rax\nint $0x80\n.code32\n"
    ".global compat_es\ncompat_es: mov %di, %es\nmov %es:(%esi), %eax\nint $0x80\n"
    ".global compat_es_store\ncompat_es_store: mov %di, %es\nmov %eax, %es:(%esi)\nint $0x80\n"
    ".global compat_int3\ncompat_int3: int3\nint $0x80\n"
    ".global compat_into\ncompat_into: mov $0x7fffffff, %eax\ninc %eax\ninto\nint $0x80\n"
    ".global compat_bound\ncompat_bound: push $5\npush $1\nmov $6, %eax\nbound %eax, (%esp)\nint $0x80\n"
    ".global compat_long\ncompat_long: movl $0, 0x10000000\nint $0x80\n"
    ".code64\n.popsection");
void compat_load(void), compat_wrap(void), compat_syscall(void), compat_sysenter(void), compat_ljmp(void), compat_es(void), compat_es_store(void), compat_int3(void), compat_into(void), compat_bound(void), compat_long(void);
snippet(enter_compat, "push $0x33\npush $user_stack_top\npush $2\npush $0x2b\npush %rdx\nmov $0x33, %eax\nmov %eax, %ds\nmov %eax, %es\niretq");
static void *compat_target;
snippet(enter_compat_target, "mov $0x33, %eax\nmov %eax, %ds\nmov %eax, %es\npush $0x33\npush $user_stack_top\npush $2\npush $0x2b\npush compat_target_value\niretq");
u64 compat_target_value;

static void compat(const char *what, void (*code)(void), u64 a, u64 b)
{
  compat_target_value = (u64)code;
  check(what, enter_compat_target, a, b);
}

static void compatibility(void)
{
  (void)compat_target;
  compat("32-bit code", compat_code, 0, 0);
  compat("load", compat_load, 0x200000, 0);
  compat("load that is not mapped", compat_load, 0x200000, 0);
  compat("wrap", compat_wrap, 0, 0);
  write_msr(MSR_CSTAR, (u64)syscall_print);
  compat("syscall", compat_syscall, 0, 0);
  compat("sysenter", compat_sysenter, 0, 0);
  compat("ljmp to 64-bit code", compat_ljmp, 0, 0);
  u16 selector = free_selector(3);
  descriptor(selector) = 0x0040f30000000fff;
  compat("the last word of a segment", compat_es, selector | 3, 0xffc);
  compat("behind a segment's limit", compat_es, selector | 3, 0xffd);
  descriptor(selector) = 0x0040f10000000fff;
  compat("store to a read-only segment", compat_es_store, selector | 3, 0x800);
  descriptor(selector) = 0x0040f70000000fff;
  compat("below a segment that expands down", compat_es, selector | 3, 0xfff);
  compat("in a segment that expands down", compat_es, selector | 3, 0x200000);
  compat("null segment", compat_es, 0, 0x400);
  descriptor(selector) = 0x0040fb0000000fff;
  compat("store to code", compat_es_store, selector | 3, 0x800);
  compat("load from code", compat_es, selector | 3, 0x400);
  descriptor(selector) = 0x0040f90000000fff;
  compat("load from code only to execute", compat_es, selector | 3, 0);
  descriptor(selector) = 0x00cff3200000ffff;
  compat("a base", compat_es, selector | 3, 0);
  compat("int3", compat_int3, 0, 0);
  compat("into", compat_into, 0, 0);
  set_gate(4, vector_entries + 16 * 4, SEL_CODE, 0xee, 0);
  compat("into by a gate for all", compat_into, 0, 0);
  reset_gate(4);
  compat("bound", compat_bound, 0, 0);
}

void test_main(void)
{
  memory_set((void *)0x200000, 0x5a, 4096);
  addresses();
  segments();
  privileges();
  gates();
  double_faults();
  returns();
  call_gates();
  system_calls();
  registers();
  float_traps();
  compatibility();
}
