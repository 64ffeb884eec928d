/* The 8259 pair, the 8254 by it and by the I/O APIC, and the clock, as far as their times do not matter. */
#include "bare.h"

#define IO_APIC ((volatile u32 *)0xfec00000)
enum { MASTER = 0x20, SLAVE = 0xa0 };

static volatile int count, ends_pic, ends_apic, reads_clock;
static volatile u32 vector, in_service, clock_flags;

static inline u8 in8(u16 port)
{
  u8 value;
  asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
static u8 cmos(u8 index) { out8(0x70, index); return in8(0x71); }
static void set_cmos(u8 index, u8 value) { out8(0x70, index); out8(0x71, value); }
static u8 service(u16 chip) { out8(chip, 0x0b); return in8(chip); }
static u8 request(u16 chip) { out8(chip, 0x0a); return in8(chip); }

static int note(struct frame *frame)
{
  if (frame->vector < 0x20) return 0;
  count++;
  vector = (u32)frame->vector;
  in_service = (u32)service(MASTER) | (u32)service(SLAVE) << 8;
  if (reads_clock) clock_flags = cmos(12);
  if (ends_pic && vector >= 0x28 && vector < 0x30) out8(SLAVE, 0x20);
  if (ends_pic && vector < 0x30) out8(MASTER, 0x20);
  if (ends_apic) reg(EOI) = 0;
  exceptions--;
  return 1;
}

static void pics(u8 word4, u8 master, u8 slave)
{
  out8(MASTER, 0x11); out8(MASTER + 1, 0x20); out8(MASTER + 1, 4); out8(MASTER + 1, word4); out8(MASTER + 1, master);
  out8(SLAVE, 0x11); out8(SLAVE + 1, 0x28); out8(SLAVE + 1, 2); out8(SLAVE + 1, word4); out8(SLAVE + 1, slave);
}
/* A tick each 10 ms. */
static void tick(void) { out8(0x43, 0x34); out8(0x40, 0x9c); out8(0x40, 0x2e); }
/* No tick any more. */
static void quiet(void) { out8(0x43, 0x38); pics(1, 0xff, 0xff); }
static void wait_for(int ticks)
{
  while (count < ticks) asm volatile("sti; hlt; cli" ::: "memory");
}
static void show(void)
{
  print_field("vector", vector);
  print_field("service", in_service);
  print_field("left", (u32)service(MASTER) | (u32)service(SLAVE) << 8);
  count = 0;
}

static void registers(void)
{
  pics(1, 0xa5, 0x5a);
  begin("8259 masks");
  print_field("master", in8(MASTER + 1));
  print_field("slave", in8(SLAVE + 1));
  print_field("requests", (u32)request(MASTER) | (u32)request(SLAVE) << 8);
  begin("8259 edge and level");
  out8(0x4d0, 0xff);
  out8(0x4d1, 0xff);
  print_field("master", in8(0x4d0));
  print_field("slave", in8(0x4d1));
  out8(0x4d0, 0);
  out8(0x4d1, 0);
  for (u8 mode = 0; mode < 6; mode++) {
    begin("8254 status of mode");
    print_field("", mode);
    out8(0x43, (u8)(0xb0 | mode << 1));
    out8(0x43, 0xe8);
    print_field("is", in8(0x42) & 0x3f);
  }
  for (u8 access = 1; access < 4; access++) {
    out8(0x43, (u8)(0x80 | access << 4));
    out8(0x43, 0xe8);
    begin("8254 access");
    print_field("is", in8(0x42) & 0x3f);
  }
}

static void ticks(void)
{
  ends_pic = 1;
  pics(1, 0xfe, 0xff);
  tick();
  wait_for(2);
  begin("tick by the 8259");
  show();
  quiet();
  ends_pic = 0;
  pics(1, 0xfe, 0xff);
  tick();
  wait_for(1);
  begin("tick without an end");
  show();
  out8(MASTER, 0x61);
  begin("end of another");
  print_field("left", service(MASTER));
  out8(MASTER, 0x60);
  begin("its own end");
  print_field("left", service(MASTER));
  quiet();
  pics(3, 0xfe, 0xff);
  tick();
  wait_for(2);
  begin("tick that ends by itself");
  show();
  quiet();
  ends_pic = 0;
  pics(1, 0xfe, 0xff);
  out8(MASTER, 0xc3);
  tick();
  wait_for(1);
  begin("tick of another priority");
  show();
  out8(MASTER, 0xa0);
  begin("end that rotates");
  print_field("left", service(MASTER));
  quiet();
  pics(1, 0xfe, 0xff);
  tick();
  while (!(request(MASTER) & 1)) ;
  begin("tick that nobody takes");
  show();
  quiet();
}

static u32 io_apic(u32 number) { IO_APIC[0] = number; return IO_APIC[4]; }
static void set_io_apic(u32 number, u32 value) { IO_APIC[0] = number; IO_APIC[4] = value; }

static void pins(void)
{
  set_io_apic(0, 0x5000000);
  begin("I/O APIC");
  print_field("id", io_apic(0));
  print_field("arbitration", io_apic(2));
  set_io_apic(0x1a, 0x1ffff);
  set_io_apic(0x1b, 0xff000000);
  print_field("low", io_apic(0x1a));
  print_field("high", io_apic(0x1b));
  ends_apic = 1;
  set_io_apic(0x15, 0);
  set_io_apic(0x14, 0x40);
  tick();
  wait_for(2);
  begin("tick by the I/O APIC");
  show();
  print_field("entry", io_apic(0x14));
  set_io_apic(0x14, 0x10040);
  quiet();
  ends_apic = 0;
}

static void show_time(const char *what)
{
  static const u8 parts[] = { 9, 8, 7, 4, 2 };
  begin(what);
  for (unsigned index = 0; index < sizeof parts; index++) print_field("", cmos(parts[index]));
}
static void set_time(u8 flags, const u8 *time)
{
  static const u8 parts[] = { 9, 8, 7, 4, 2, 0 };
  set_cmos(11, 0x80 | flags);
  /* QEMU takes the century from here, in the form of the time. */
  set_cmos(0x32, flags & 4 ? 20 : 0x20);
  for (unsigned index = 0; index < sizeof parts; index++) set_cmos(parts[index], time[index]);
}

static void clock(void)
{
  set_cmos(10, 0x26);
  set_time(2, (const u8[]){ 0x24, 2, 0x28, 0x23, 0x59, 0x10 });
  show_time("time in digits that stands");
  set_cmos(11, 2);
  show_time("time in digits");
  set_time(6, (const u8[]){ 24, 2, 29, 13, 5, 10 });
  set_cmos(11, 6);
  show_time("time in binary");
  set_time(0, (const u8[]){ 0x24, 0x12, 0x31, 0x92, 0, 0x10 });
  set_cmos(11, 0);
  show_time("12 hours, at noon");
  set_cmos(11, 2);
  show_time("the same in 24 hours");
  begin("registers");
  print_field("a", cmos(10) & 0x7f);
  print_field("b", cmos(11));
  print_field("d", cmos(13));
  cmos(12);
  reads_clock = ends_pic = 1;
  pics(1, 0xfb, 0xfe);
  set_cmos(11, 0x12);
  wait_for(1);
  begin("end of an update");
  print_field("flags", clock_flags & 0xb0);
  show();
  set_cmos(11, 0x42);
  wait_for(3);
  begin("periods");
  print_field("flags", clock_flags & 0xe0);
  show();
  set_cmos(11, 2);
  for (u8 part = 1; part < 6; part += 2) set_cmos(part, 0xc0);
  cmos(12);
  set_cmos(11, 0x22);
  wait_for(1);
  begin("alarm at any time");
  print_field("flags", clock_flags & 0xa0);
  show();
  set_cmos(11, 2);
  quiet();
  set_cmos(0x50, 0x5a);
  begin("memory");
  print_field("", cmos(0x50));
}

void test_main(void)
{
  hook = note;
  reg(SPIV) = 0x1ff;
  reg(TPR) = 0;
  reg(LINT0) = 0x700;
  registers();
  ticks();
  pins();
  clock();
}
