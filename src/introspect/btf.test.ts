import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { readBtfLayouts } from './index.js';

interface Member {
  readonly name: string;
  readonly bits: number;
}

interface Struct {
  readonly name: string;
  readonly size: number;
  readonly members: readonly Member[];
}

/** BTF of these structures, after an integer and an array, whose tails must be stepped over. */
function makeBtf(structs: readonly Struct[]): Uint8Array {
  let names = '\0';
  const nameOf = (name: string): number => {
    names += `${name}\0`;
    return names.length - name.length - 1;
  };
  const words: number[] = [];
  words.push(nameOf('int'), 1 << 24, 4, 32);
  words.push(0, 3 << 24, 0, 1, 1, 5);
  for (const { name, size, members } of structs) {
    words.push(nameOf(name), (4 << 24) | members.length, size);
    for (const member of members) words.push(nameOf(member.name), 1, member.bits);
  }
  const types = Uint32Array.from(words);
  const header = Uint32Array.from([0x0001_eb9f, 24, 0, types.byteLength, types.byteLength, names.length]);
  const text = Uint8Array.from(names, (letter) => letter.charCodeAt(0));
  return Uint8Array.from([...new Uint8Array(header.buffer), ...new Uint8Array(types.buffer), ...text]);
}

const name = fc.stringMatching(/^[a-z_][a-z0-9_]{0,9}$/);
const struct = fc.record({
  name,
  size: fc.nat(4096),
  members: fc.uniqueArray(fc.record({ name, bits: fc.nat(4096) }), { selector: (m) => m.name, maxLength: 5 }),
});

describe('BTF', () => {
  it('says sizes, and offsets of what begins at a byte', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(struct, { selector: (s) => s.name, maxLength: 5 }),
        fc.nat(64),
        (structs, before) => {
          const btf = makeBtf(structs);
          const image = new Uint8Array(before + btf.length + 9);
          image.set(btf, before);
          const layouts = readBtfLayouts(
            image,
            structs.map((s) => s.name),
          );
          for (const { name: of, size, members } of structs) {
            assert.equal(layouts?.size(of), size);
            for (const { name: member, bits } of members) {
              assert.equal(layouts.offset(`${of}.${member}`), bits % 8 === 0 ? bits / 8 : null);
            }
          }
        },
      ),
    );
  });

  it('is the largest in the image, and only what is asked for is told', () => {
    const small = makeBtf([{ name: 'a', size: 1, members: [] }]);
    const large = makeBtf([
      { name: 'a', size: 2, members: [] },
      { name: 'b', size: 3, members: [] },
    ]);
    const layouts = readBtfLayouts(Uint8Array.from([...small, ...large, ...small]), ['a']);
    assert.equal(layouts?.size('a'), 2);
    assert.equal(layouts.size('b'), null);
  });

  it('is missed where there is none', () => {
    assert.equal(readBtfLayouts(new Uint8Array(1000), ['a']), null);
  });

  it('may be broken in any way', () => {
    const whole = makeBtf([{ name: 'a', size: 8, members: [{ name: 'x', bits: 0 }] }]);
    const broken = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(broken, fc.nat(whole.length), (changes, length) => {
        const image = whole.slice();
        for (const [at, value] of changes) image[at] = value;
        assert.doesNotThrow(() => readBtfLayouts(image.subarray(0, length), ['a']));
        assert.doesNotThrow(() => readBtfLayouts(image, ['a']));
      }),
    );
  });

  it('reads no more of a name than of a real one, however many have one that never ends', () => {
    const structs = 100_000;
    const words = Array.from({ length: structs }, () => [0, 4 << 24, 8]).flat();
    const types = Uint32Array.from(words);
    const names = new Uint8Array(1 << 20).fill(0x61);
    const header = Uint32Array.from([0x0001_eb9f, 24, 0, types.byteLength, types.byteLength, names.length]);
    const image = new Uint8Array(24 + types.byteLength + names.length);
    image.set(new Uint8Array(header.buffer));
    image.set(new Uint8Array(types.buffer), 24);
    image.set(names, 24 + types.byteLength);
    assert.equal(readBtfLayouts(image, ['prb_desc'])?.size('prb_desc'), null);
  });
});
