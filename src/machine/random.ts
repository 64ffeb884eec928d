/**
 * A seeded PRNG, SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014),
 * whose state is a plain value. The same seed gives the same numbers on every machine.
 */
import { u64 } from '../base/index.js';

export interface Random {
  state: bigint;
}

export function randomOf(seed: number): Random {
  return { state: u64(BigInt(seed)) };
}

/** The next number, 64 bits. */
export function draw(random: Random): bigint {
  random.state = u64(random.state + 0x9e3779b97f4a7c15n);
  let mixed = random.state;
  mixed = u64((mixed ^ (mixed >> 30n)) * 0xbf58476d1ce4e5b9n);
  mixed = u64((mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn);
  return mixed ^ (mixed >> 31n);
}

/**
 * A random integer from `low` to `high`, both inclusive. The range must be below 2^32, which makes the bias negligible.
 */
export function drawBetween(random: Random, low: number, high: number): number {
  return low + Number(draw(random) % BigInt(high - low + 1));
}
