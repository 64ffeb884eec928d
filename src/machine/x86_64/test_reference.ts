/**
 * What a PVH guest with four vCPUs saw on Xen 4.17.7 (Debian 12's), on a host with AMD's CPUs: CPUID on each vCPU and the
 * model-specific registers of vCPU 0, read by its kernel when it had booted (Linux 6.1.192).
 */

/** A CPUID leaf as a vCPU read it. */
export interface ObservedLeaf {
  readonly vcpu: number;
  readonly leaf: number;
  readonly subleaf: number;
  /** EAX, EBX, ECX and EDX. */
  readonly values: readonly number[];
}

/** vCPU, leaf and sub-leaf, EAX, EBX, ECX, EDX. */
const cpuidText = `
  0 0.0 d 68747541 444d4163 69746e65
  0 1.0 60fb1 20800 f6f83203 1fcbfbfd
  0 7.0 0 18803a9 21c 0
  0 b.0 0 0 0 0
  0 b.1 0 0 1 0
  0 b.2 0 0 0 0
  0 b.3 0 0 0 0
  0 40000000.0 40000005 566e6558 65584d4d 4d4d566e
  0 40000001.0 40011 0 0 0
  0 40000002.0 1 40000000 0 0
  0 40000003.0 5 0 279d2b 1
  0 40000003.1 0 0 c5374803 ffffffff
  0 40000003.2 279d2b 0 0 0
  0 40000003.3 0 0 0 0
  0 40000004.0 5c 0 1 0
  0 40000005.0 0 0 0 0
  0 40000005.1 0 0 0 0
  0 40000006.0 0 0 0 0
  0 40000100.0 0 0 0 0
  0 80000001.0 60fb1 0 71 edd3fbfd
  0 80000005.0 1ff01ff 1ff01ff 40020140 40020140
  0 80000006.0 0 42004200 2008140 808140
  0 80000008.0 3028 100000 1 0
  1 0.0 d 68747541 444d4163 69746e65
  1 1.0 60fb1 2020800 f6f83203 1fcbfbfd
  1 7.0 0 18803a9 21c 0
  1 b.0 0 0 0 2
  1 b.1 0 0 1 2
  1 b.2 0 0 0 0
  1 b.3 0 0 0 0
  1 40000000.0 40000005 566e6558 65584d4d 4d4d566e
  1 40000001.0 40011 0 0 0
  1 40000002.0 1 40000000 0 0
  1 40000003.0 5 0 279d2b 1
  1 40000003.1 0 0 c5374803 ffffffff
  1 40000003.2 279d2b 0 0 0
  1 40000003.3 0 0 0 0
  1 40000004.0 5c 1 1 0
  1 40000005.0 0 0 0 0
  1 40000005.1 0 0 0 0
  1 40000006.0 0 0 0 0
  1 40000100.0 0 0 0 0
  1 80000001.0 60fb1 0 71 edd3fbfd
  1 80000005.0 1ff01ff 1ff01ff 40020140 40020140
  1 80000006.0 0 42004200 2008140 808140
  1 80000008.0 3028 100000 1 0
  2 0.0 d 68747541 444d4163 69746e65
  2 1.0 60fb1 4020800 f6f83203 1fcbfbfd
  2 7.0 0 18803a9 21c 0
  2 b.0 0 0 0 4
  2 b.1 0 0 1 4
  2 b.2 0 0 0 0
  2 b.3 0 0 0 0
  2 40000000.0 40000005 566e6558 65584d4d 4d4d566e
  2 40000001.0 40011 0 0 0
  2 40000002.0 1 40000000 0 0
  2 40000003.0 5 0 279d2b 1
  2 40000003.1 0 0 c5374803 ffffffff
  2 40000003.2 279d2b 0 0 0
  2 40000003.3 0 0 0 0
  2 40000004.0 5c 2 1 0
  2 40000005.0 0 0 0 0
  2 40000005.1 0 0 0 0
  2 40000006.0 0 0 0 0
  2 40000100.0 0 0 0 0
  2 80000001.0 60fb1 0 71 edd3fbfd
  2 80000005.0 1ff01ff 1ff01ff 40020140 40020140
  2 80000006.0 0 42004200 2008140 808140
  2 80000008.0 3028 100000 1 0
  3 0.0 d 68747541 444d4163 69746e65
  3 1.0 60fb1 6020800 f6f83203 1fcbfbfd
  3 7.0 0 18803a9 21c 0
  3 b.0 0 0 0 6
  3 b.1 0 0 1 6
  3 b.2 0 0 0 0
  3 b.3 0 0 0 0
  3 40000000.0 40000005 566e6558 65584d4d 4d4d566e
  3 40000001.0 40011 0 0 0
  3 40000002.0 1 40000000 0 0
  3 40000003.0 5 0 279d2b 1
  3 40000003.1 0 0 c5374803 ffffffff
  3 40000003.2 279d2b 0 0 0
  3 40000003.3 0 0 0 0
  3 40000004.0 5c 3 1 0
  3 40000005.0 0 0 0 0
  3 40000005.1 0 0 0 0
  3 40000006.0 0 0 0 0
  3 40000100.0 0 0 0 0
  3 80000001.0 60fb1 0 71 edd3fbfd
  3 80000005.0 1ff01ff 1ff01ff 40020140 40020140
  3 80000006.0 0 42004200 2008140 808140
  3 80000008.0 3028 100000 1 0
`;

export const observedLeaves: readonly ObservedLeaf[] = cpuidText
  .trim()
  .split('\n')
  .map((line) => {
    const [vcpu = '', place = '', ...values] = line.trim().split(' ');
    const [leaf = 0, subleaf = 0] = place.split('.').map((part) => parseInt(part, 16));
    return { vcpu: Number(vcpu), leaf, subleaf, values: values.map((value) => parseInt(value, 16)) };
  });

/** Each register with its value, or `#GP` where RDMSR faults. */
const registersText = `
  10=8534aa5169 17=#GP 1b=fee00d00 2a=#GP 2c=0 3a=#GP 3b=0 48=#GP 49=#GP 8b=1000065 9e=#GP c1=#GP ce=80000000
  e7=#GP e8=#GP fe=508 10a=#GP 10b=#GP 119=#GP 122=#GP 140=0 150=#GP 174=10 175=fffffe0000003000
  176=ffffffff81c018f0 179=2 17a=0 17b=0 186=#GP 187=#GP 198=#GP 199=#GP 19a=#GP 19b=#GP 19c=#GP 1a0=#GP 1a2=#GP
  1ad=#GP 1b0=#GP 1c8=#GP 1d9=0 1fc=#GP 200=0 201=0 202=0 203=0 204=0 205=0 206=0 207=0 208=0 209=0 20a=0 20b=0
  20c=0 20d=0 20e=0 20f=0 250=0 258=0 259=0 268=0 269=0 26a=0 26b=0 26c=0 26d=0 26e=0 26f=0 277=407050600070106
  2ff=806 345=#GP 38d=#GP 38e=#GP 38f=#GP 390=#GP 400=ffffffffffffffff 401=0 402=0 403=0 480=#GP 570=#GP 600=#GP
  606=#GP 610=#GP 611=#GP 6e0=0 802=0 803=50014 808=10 80a=10 80d=1 80f=1ff 830=600000699 832=10000 833=10000
  834=10000 835=10700 836=400 837=fe 838=0 839=0 83e=0 d90=#GP da0=#GP 40000000=0 40000001=#GP 40000002=#GP
  40000003=#GP 40000020=#GP 40000021=#GP 40000070=#GP 40000071=#GP 4b564d00=#GP c0000080=d01
  c0000081=23001000000000 c0000082=ffffffff81c00080 c0000083=ffffffff81c019b0 c0000084=257fd5 c0000100=2bd58380
  c0000101=ffff88801f400000 c0000102=0 c0000103=0 c0000104=0 c00000e7=#GP c00000e8=#GP c0010000=0 c0010004=0
  c0010010=0 c0010015=0 c001001a=0 c001001d=0 c001001f=0 c0010055=0 c0010058=#GP c0010061=#GP c0010062=#GP
  c0010063=#GP c0010064=#GP c0010065=#GP c0010071=#GP c0010111=#GP c0010112=#GP c0010114=0 c0010117=0
  c0010140=#GP c0010141=#GP c0010200=0 c001029a=#GP c001029b=#GP c0011004=#GP c0011020=#GP c0011021=#GP
  c0011022=#GP c0011023=0 c0011029=2 c001102a=0 c001102c=0 c001100c=#GP
`;

/** By number; null where RDMSR raises #GP. */
export const observedRegisters: ReadonlyMap<number, bigint | null> = new Map(
  registersText
    .trim()
    .split(/\s+/)
    .map((item) => {
      const [number = '', value = ''] = item.split('=');
      return [parseInt(number, 16), value === '#GP' ? null : BigInt(`0x${value}`)];
    }),
);
