/*
 * The only process of a kernel that is asked how it numbered its CPUs: prints what /sys and /proc say of them and turns
 * the machine off. Each line that it means for its readers begins with "@". It needs no C library, on arm64 and x86-64.
 */
#ifdef __aarch64__
enum { OPENAT = 56, READ = 63, WRITE = 64, MOUNT = 40, REBOOT = 142, IOCTL = 29 };
#else
enum { OPENAT = 257, READ = 0, WRITE = 1, MOUNT = 165, REBOOT = 169, IOCTL = 16 };
#endif
/* tcdrain(3): TCSBRK with an argument that is not 0. */
enum { TCSBRK = 0x5409 };
enum { AT_FDCWD = -100, MAGIC1 = 0xfee1dead, MAGIC2 = 672274793, POWER_OFF = 0x4321fedc };

static long call(long number, long a, long b, long c, long d, long e) {
#ifdef __aarch64__
  register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c, x3 __asm__("x3") = d, x4 __asm__("x4") = e;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
  return x0;
#else
  register long r10 __asm__("r10") = d, r8 __asm__("r8") = e;
  long answer;
  __asm__ volatile("syscall"
                   : "=a"(answer)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                   : "rcx", "r11", "memory");
  return answer;
#endif
}

static void put(const char *bytes, long count) {
  while (count > 0) {
    long written = call(WRITE, 1, (long)bytes, count, 0, 0);
    if (written <= 0) return;
    bytes += written;
    count -= written;
  }
}

static void say(const char *text) {
  unsigned long length = 0;
  while (text[length] != 0) length++;
  put(text, length);
}

static char buffer[4096];

/* "@KEY=" and the content of the file, which ends with a line's end. */
static void show(const char *key, const char *path) {
  long file = call(OPENAT, AT_FDCWD, (long)path, 0, 0, 0), count;
  say("\n@");
  say(key);
  say("=");
  while (file >= 0 && (count = call(READ, file, (long)buffer, sizeof buffer, 0, 0)) > 0)
    put(buffer, count);
}

void _start(void) {
  call(MOUNT, (long)"sysfs", (long)"/sys", (long)"sysfs", 0, 0);
  call(MOUNT, (long)"proc", (long)"/proc", (long)"proc", 0, 0);
  show("possible", "/sys/devices/system/cpu/possible");
  show("present", "/sys/devices/system/cpu/present");
  show("online", "/sys/devices/system/cpu/online");
  show("cpuinfo", "/proc/cpuinfo");
  say("\n@end\n");
  /* The power goes off at once, whatever the serial port still has to send. */
  call(IOCTL, 1, TCSBRK, 1, 0, 0);
  for (;;) call(REBOOT, (long)MAGIC1, MAGIC2, (long)POWER_OFF, 0, 0);
}
