import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Btf, readBtfLayouts } from './index.js';
import { kernelBtf, madeArea, MadeBtf } from './test_btf.js';

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
  const btf = new MadeBtf();
  const int = btf.int('int');
  btf.array(int, 5);
  for (const { name, size, members } of structs) {
    btf.struct(
      name,
      size,
      members.map((member) => [member.name, int, member.bits]),
    );
  }
  return btf.done();
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

  it('tells what unnamed structures and unions within one hold, at any depth, and how long arrays are', () => {
    const btf = new MadeBtf();
    const int = btf.int('int');
    const four = btf.array(int, 4);
    const inner = btf.struct('', 24, [
      ['deep', int, 0],
      ['list', four, 64],
    ]);
    const either = btf.struct(
      '',
      24,
      [
        ['', inner, 0],
        ['other', int, 0],
      ],
      5,
    );
    const alias = btf.type(8, 'either_t', 0, btf.type(10, '', 0, either));
    btf.struct('s', 48, [
      ['first', int, 0],
      ['', either, 64],
      ['u', alias, 192],
    ]);
    const layouts = readBtfLayouts(btf.done(), ['s']);
    const told = ['s.first', 's.deep', 's.list', 's.other', 's.u', 's.u.deep', 's.u.list', 's.u.other'];
    assert.deepEqual(
      told.map((path) => layouts?.offset(path)),
      [0, 8, 16, 8, 24, 24, 32, 24],
    );
    assert.equal(layouts?.elements('s.list'), 4);
    assert.equal(layouts.elements('s.u.list'), 4);
    assert.equal(layouts.elements('s.first'), null);
  });

  it('leaves bit fields out, and structures that hold themselves end', () => {
    const btf = new MadeBtf();
    const int = btf.int('int');
    const flag = 1 << 7;
    btf.type(4 | flag, 's', 2, 8, [btf.name('field'), int, 3 << 24, btf.name('whole'), int, 32]);
    btf.struct('', 8, [['', 3, 0]]);
    btf.struct('t', 8, [['', 3, 0]]);
    btf.type(8, 'circle', 0, 6);
    btf.type(8, 'circle', 0, 5);
    btf.struct('v', 8, [['', 5, 0]]);
    const layouts = readBtfLayouts(btf.done(), ['s', 't', 'v']);
    assert.equal(layouts?.offset('s.field'), null);
    assert.equal(layouts.offset('s.whole'), 4);
    assert.equal(layouts.size('t'), 8);
    assert.equal(layouts.size('v'), 8);
  });

  it('tells of several structures of one name the one that has a member', () => {
    const btf = new MadeBtf();
    const int = btf.int('int');
    btf.struct('irq_info', 32, [['node', int, 0]]);
    const evtchn = btf.struct('', 4, [['evtchn', int, 0]], 5);
    btf.struct('irq_info', 136, [['', evtchn, 800]]);
    const layouts = readBtfLayouts(btf.done(), [{ name: 'irq_info', having: 'evtchn' }]);
    assert.equal(layouts?.size('irq_info'), 136);
    assert.equal(layouts.offset('irq_info.evtchn'), 100);
    assert.equal(readBtfLayouts(btf.done(), ['irq_info'])?.size('irq_info'), 32);
  });

  it('lists per-CPU variables with their offsets, and the values of enumerators', () => {
    const btf = Btf.find(kernelBtf().done());
    assert.deepEqual(
      [...(btf?.perCpuOffsets() ?? [])],
      [
        ['xen_vcpu_id', madeArea.xenVcpuId],
        ['runqueues', 0x100],
        ['cpuhp_state', 0x200],
      ],
    );
    assert.equal(btf?.enumerator('CPUHP_AP_ONLINE'), 142);
    assert.equal(btf.enumerator('CPUHP_OFFLINE'), 0);
    assert.equal(btf.enumerator('CPUHP_NEVER'), null);
    assert.equal(Btf.find(makeBtf([]))?.perCpuOffsets().size, 0);
  });

  it('steps over kinds that nobody knows where it says how long they are, and ends at them where not', () => {
    const btf = new MadeBtf();
    btf.struct('before', 1, []);
    btf.type(30, '', 3, 0, [1, 2, 3, 4]);
    btf.struct('behind', 2, []);
    const kinds = Array.from({ length: 31 }, (_, kind): [number, number] => (kind === 30 ? [4, 4] : [0, 0]));
    const names = ['before', 'behind'];
    const said = readBtfLayouts(btf.done(kinds), names);
    assert.deepEqual(
      names.map((each) => said?.size(each)),
      [1, 2],
    );
    const unsaid = readBtfLayouts(btf.done(), names);
    assert.deepEqual(
      names.map((each) => unsaid?.size(each)),
      [1, null],
    );
  });

  it('may be broken in any way, and is read by all that read it', () => {
    const whole = kernelBtf().done();
    const broken = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(broken, fc.nat(whole.length), (changes, length) => {
        const image = whole.slice();
        for (const [at, value] of changes) image[at] = value;
        for (const part of [image, image.subarray(0, length)]) {
          const btf = Btf.find(part);
          btf?.perCpuOffsets();
          btf?.enumerator('CPUHP_AP_ONLINE');
          btf?.layouts(['rq', 'thread_info', { name: 'task_struct', having: 'cpu' }]);
        }
      }),
    );
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
    const words = Array.from({ length: structs }, () => [1, 4 << 24, 8]).flat();
    const types = Uint32Array.from(words);
    const names = new Uint8Array(1 << 20).fill(0x61, 1);
    const header = Uint32Array.from([0x0001_eb9f, 24, 0, types.byteLength, types.byteLength, names.length]);
    const image = new Uint8Array(24 + types.byteLength + names.length);
    image.set(new Uint8Array(header.buffer));
    image.set(new Uint8Array(types.buffer), 24);
    image.set(names, 24 + types.byteLength);
    assert.equal(readBtfLayouts(image, ['prb_desc'])?.size('prb_desc'), null);
  });
});
