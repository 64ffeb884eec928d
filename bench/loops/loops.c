/*
 * Six loops; LOOP selects one. Each prints `begin` on the UART at UART, works for a number of rounds that TIMES multiplies, and prints
 * `end` with its result, which must be the same on every emulator.
 */
typedef unsigned long u64;
typedef unsigned int u32;
typedef unsigned char u8;

static void put(char c) { *(volatile u8 *)UART = (u8)c; }

static void say(const char *text) {
  while (*text != 0) put(*text++);
}

static void say_number(u64 value) {
  for (int shift = 60; shift >= 0; shift -= 4) put("0123456789abcdef"[(value >> shift) & 15]);
}

#if LOOP == 1
/* Integers: a mixing function over registers, with one short loop inside. */
static u64 work(void) {
  u64 a = 1, b = 2, c = 3, d = 4;
  for (u32 i = 0; i < 20000000u * TIMES; i++) {
    a += b ^ (u64)i;
    d = (d ^ a) >> 7 | (d ^ a) << 57;
    c = (c + d) ^ (c >> 3);
    b = b - (c & 0xff0) + (a < c ? 5 : 11);
  }
  return a ^ b ^ c ^ d;
}
#elif LOOP == 2
/* Memory: blocks copied, double word by double word, between two halves of a MiB. */
static u64 blocks[2][65536];

static u64 work(void) {
  for (u32 i = 0; i < 65536; i++) blocks[0][i] = i * 0x9e3779b97f4a7c15;
  for (u32 round = 0; round < 600u * TIMES; round++) {
    u64 *from = blocks[round & 1], *to = blocks[~round & 1];
    for (u32 i = 0; i < 65536; i += 4) {
      u64 a = from[i], b = from[i + 1], c = from[i + 2], d = from[i + 3];
      __asm__ volatile("" ::: "memory");
      to[i] = b, to[i + 1] = a, to[i + 2] = d, to[i + 3] = c + round;
    }
  }
  return blocks[0][1234] ^ blocks[0][65535];
}
#elif LOOP == 3
/* Branches: calls through a table by random bits, and unpredictable conditions. */
static u64 first(u64 x) { return (x & 1) ? x * 3 + 1 : x >> 1; }
static u64 second(u64 x) { return (x & 6) ? x + 17 : x ^ 0x5555; }
static u64 third(u64 x) { return (x >> 40) > 1000 ? x - 3 : x + 9; }
static u64 fourth(u64 x) { return x & 0x100 ? ~x : x + (x << 5); }

static u64 work(void) {
  u64 state = 88172645463325252, sum = 0;
  for (u32 i = 0; i < 10000000u * TIMES; i++) {
    u64 (*step)(u64);
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    switch (state & 3) {
      case 0: step = first; break;
      case 1: step = second; break;
      case 2: step = third; break;
      default: step = fourth;
    }
    __asm__ volatile("" : "+r"(step));
    sum += step(state);
  }
  return sum;
}
#elif LOOP == 4
/* Multiply and divide. */
static u64 work(void) {
  u64 a = 0x123456789abcdef, sum = 0;
  for (u32 i = 1; i < 12000000u * TIMES; i++) {
    a = a * 6364136223846793005 + 1442695040888963407;
    sum += (u64)(((unsigned __int128)a * i) >> 64);
    sum ^= a / i;
    sum += (u32)a % i;
  }
  return sum;
}
#elif LOOP == 5
/* Floating point: a polynomial, divisions and conversions. */
static u64 work(void) {
  double x = 0.5, sum = 0;
  for (u32 i = 0; i < 6000000u * TIMES; i++) {
    double y = x * x;
    sum += 1.0 + x * (1.0 - y * (0.5 - y * 0.125)) / (1.5 + y);
    x += 1e-7 * (double)(i & 1023);
    if (x > 2.0) x -= 1.75;
  }
  return (u64)(sum * 1024.0);
}
#else
/* Advanced SIMD: sums, products and shifts over 16-byte vectors in memory. */
typedef u32 vector __attribute__((vector_size(16)));
static vector data[4096];

static u64 work(void) {
  vector sum = { 1, 2, 3, 4 };
  for (u32 i = 0; i < 4096; i++) data[i] = (vector){ i, i * 3, i * 5, i * 7 };
  for (u32 round = 0; round < 500u * TIMES; round++) {
    for (u32 i = 0; i < 4096; i++) {
      vector v = data[i];
      sum = sum * 5 + (v ^ (sum >> 3));
      data[i] = v + (sum & 0xffff);
    }
  }
  return ((u64)sum[0] << 32 | sum[1]) ^ ((u64)sum[2] << 32 | sum[3]);
}
#endif

void loop_main(void) {
  say("begin\n");
  u64 result = work();
  say("end ");
  say_number(result);
  say("\n");
}
