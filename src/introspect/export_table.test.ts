import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { exportedOffset, exportedOffsets } from './export_table.js';
import { MadeImage } from './test_image.js';

interface Export {
  readonly name: string;
  readonly offset: number;
}

/** An image with a table of entries, then the names; `text` gives the place of a name in the names. */
function imageOf(exports: readonly Export[], names: string, junk = 64): Uint8Array {
  const image = new MadeImage().bytes(Array.from({ length: junk }, (_, i) => i * 11)).align(4);
  const table = image.size;
  const text = table + 12 * exports.length;
  // The empty namespace: the NUL that ends the names.
  const namespace = text + names.length;
  for (const { name, offset } of exports) {
    const [value, toName, toNamespace] = [image.size, image.size + 4, image.size + 8];
    image
      .word(offset - value)
      .word(text + names.indexOf(`${name}\0`) - toName)
      .word(namespace - toNamespace);
  }
  return image.text(names).align(4).done();
}

describe('the export table', () => {
  it('gives the place of any exported symbol, also outside of the file', () => {
    const name = fc.stringMatching(/^[a-z_][a-z0-9_]{2,20}$/);
    fc.assert(
      fc.property(
        fc.uniqueArray(name, { minLength: 1, maxLength: 12 }),
        fc.array(fc.integer({ min: -(2 ** 30), max: 2 ** 30 }), { minLength: 12, maxLength: 12 }),
        fc.nat(200),
        (names, offsets, junk) => {
          const exports = names.map((each, i) => ({ name: each, offset: offsets[i] ?? 0 }));
          const image = imageOf(exports, names.map((each) => `\0${each}\0`).join(''), junk);
          for (const each of exports) assert.equal(exportedOffset(image, each.name), each.offset, each.name);
          assert.equal(exportedOffset(image, 'not exported'), null);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('finds a name that is the end of another name’s text', () => {
    const image = imageOf(
      [
        { name: 'io_schedule', offset: 0x100 },
        { name: 'schedule', offset: 0x200 },
      ],
      '\0io_schedule\0',
    );
    assert.equal(exportedOffset(image, 'schedule'), 0x200);
    assert.equal(exportedOffset(image, 'io_schedule'), 0x100);
  });

  it('passes over data that only looks like an entry', () => {
    const names = '\0xen_vcpu_id\0';
    const whole = imageOf([{ name: 'xen_vcpu_id', offset: 0x300 }], names, 64);
    // Before the table, a word that happens to be the distance to the name; what follows names no empty text.
    const words = new DataView(whole.buffer);
    const text = 64 + 12 + 1;
    words.setInt32(16, text - 16, true);
    words.setInt32(20, text - 20, true);
    assert.equal(exportedOffset(whole, 'xen_vcpu_id'), 0x300);
  });

  it('is read alike wherever the image begins in its buffer', () => {
    const image = imageOf([{ name: 'xen_vcpu_id', offset: 0x40 }], '\0xen_vcpu_id\0');
    for (const shift of [1, 2, 3]) {
      const moved = new Uint8Array(image.length + shift);
      moved.set(image, shift);
      assert.equal(exportedOffset(moved.subarray(shift), 'xen_vcpu_id'), 0x40);
    }
  });

  it('gives those of several names that are exported', () => {
    const both = ['xen_vcpu_id', '__per_cpu_offset'].map((name, i) => ({ name, offset: 0x10 * (i + 1) }));
    const names = '\0xen_vcpu_id\0__per_cpu_offset\0';
    const wanted = ['__per_cpu_offset', 'nr_cpu_ids', 'xen_vcpu_id'];
    const found = exportedOffsets(imageOf(both, names), wanted);
    assert.deepEqual(Object.fromEntries(found), { xen_vcpu_id: 0x10, __per_cpu_offset: 0x20 });
    const one = exportedOffsets(imageOf(both.slice(0, 1), names), wanted);
    assert.deepEqual(Object.fromEntries(one), { xen_vcpu_id: 0x10 });
    assert.equal(exportedOffsets(new Uint8Array(3), wanted).size, 0);
  });

  it('is looked for in one pass, also where every other word could be the name’s', () => {
    const image = new Uint8Array(4 << 20);
    const view = new DataView(image.buffer);
    const name = Uint8Array.from('xen_vcpu_id\0', (letter) => letter.charCodeAt(0));
    const half = image.length / 2;
    for (let at = 0; at + name.length < half; at += name.length) image.set(name, at);
    // Within a name, and not at its start.
    const place = 12 * 87_381 + 5;
    for (let at = half; at < image.length; at += 4) view.setInt32(at, place - at, true);
    assert.equal(exportedOffset(image, 'xen_vcpu_id'), null);
  });
});
