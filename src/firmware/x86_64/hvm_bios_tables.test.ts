import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { viewOf } from '../../abi/index.js';
import { biosPlaces, hvmBiosTables } from './hvm_bios_tables.js';
import { loaderPages } from './hvm_memory_map.js';
import { hvmAcpiTables } from './hvm_tables.js';
import type { Loaded } from './table_bytes.js';

const uuid = { text: '00112233-4455-6677-8899-aabbccddeeff', bytes: new Uint8Array(16).fill(7) };

const apicIdsFor = (vcpus: number): number[] => Array.from({ length: vcpus }, (_, vcpu) => 2 * vcpu);

function tablesFor(
  vcpus: number,
  memoryMiB = 512,
): readonly [mp: Loaded, entryPoint: Loaded, structures: Loaded] {
  const [mp, entryPoint, structures, ...others] = hvmBiosTables(apicIdsFor(vcpus), {
    version: '4.17.7',
    uuid,
    memoryMiB,
  });
  assert.ok(mp && entryPoint && structures && others.length === 0);
  return [mp, entryPoint, structures];
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
const sum = (bytes: Uint8Array): number => bytes.reduce((total, byte) => (total + byte) & 0xff, 0);

/** The structures, each with its type, its handle and its texts. */
function structuresIn(
  bytes: Uint8Array,
): { type: number; handle: number; texts: string[]; whole: Uint8Array }[] {
  const found = [];
  for (let at = 0; at < bytes.length;) {
    const [type = 0, length = 0] = bytes.subarray(at);
    let end = at + length;
    while (bytes[end] !== 0 || bytes[end + 1] !== 0) end += 1;
    const texts = end === at + length ? [] : textOf(bytes.subarray(at + length, end)).split('\0');
    const handle = viewOf(bytes).getUint16(at + 2, true);
    found.push({ type, handle, texts, whole: bytes.subarray(at, end + 2) });
    at = end + 2;
  }
  return found;
}

describe('the MP tables of a PVHVM guest', () => {
  it('lie where SeaBIOS put those of four vCPUs under Xen 4.17', () => {
    // Linux: "found SMP MP-table at [mem 0x000f5bc0-0x000f5bcf]"; SeaBIOS: "Copying SMBIOS from ... to 0x000f5ce0".
    assert.deepEqual(biosPlaces(4), { smbios: 0xf_5ce0n, mpTables: 0xf_5bc0n, rsdp: 0xf_5b10n });
  });

  it('have each CPU with its APIC id, and lead to themselves with right checksums', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 128 }), (vcpus) => {
        const [{ at, bytes }, entryPoint] = tablesFor(vcpus);
        const view = viewOf(bytes);
        assert.equal(textOf(bytes.subarray(0, 4)), '_MP_');
        assert.equal(sum(bytes.subarray(0, 16)), 0);
        assert.equal(at % 16n, 0n);
        const config = bytes.subarray(view.getUint32(4, true) - Number(at));
        assert.equal(textOf(config.subarray(0, 4)), 'PCMP');
        assert.deepEqual([viewOf(config).getUint16(4, true), sum(config)], [config.length, 0]);
        // Entries of processors have 20 bytes, all others 8.
        const cpus: number[][] = [];
        let entries = 0;
        for (let next = 44; next < config.length; next += config[next] === 0 ? 20 : 8) {
          if (config[next] === 0) cpus.push([...config.subarray(next + 1, next + 4)]);
          entries += 1;
        }
        assert.equal(entries, viewOf(config).getUint16(34, true));
        assert.deepEqual(
          cpus,
          apicIdsFor(vcpus).map((id, vcpu) => [id, 0x11, vcpu === 0 ? 3 : 1]),
        );
        // Nothing overlaps, down to the RSDP.
        assert.ok(at + BigInt(bytes.length) <= entryPoint.at);
        const [rsdp] = hvmAcpiTables(apicIdsFor(vcpus), biosPlaces(vcpus).rsdp).parts;
        assert.ok(rsdp && rsdp.at >= 0xf_0000n && rsdp.at + BigInt(rsdp.bytes.length) <= at);
      }),
    );
  });
});

describe('the SMBIOS structures of a PVHVM guest', () => {
  it('are found by the entry point, with right checksums', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 128 }),
        fc.integer({ min: 16, max: 3840 }),
        (vcpus, memoryMiB) => {
          const [, { at, bytes }, structures] = tablesFor(vcpus, memoryMiB);
          assert.deepEqual([at % 16n, textOf(bytes.subarray(0, 4)), bytes[5]], [0n, '_SM_', bytes.length]);
          assert.deepEqual([sum(bytes), sum(bytes.subarray(16))], [0, 0]);
          const view = viewOf(bytes);
          assert.equal(BigInt(view.getUint32(0x18, true)), structures.at);
          assert.equal(view.getUint16(0x16, true), structures.bytes.length);
          const found = structuresIn(structures.bytes);
          assert.equal(view.getUint16(0x1c, true), found.length);
          assert.equal(view.getUint16(8, true), Math.max(...found.map(({ whole }) => whole.length)));
          assert.equal(new Set(found.map(({ handle }) => handle)).size, found.length);
          assert.equal(found.filter(({ type }) => type === 4).length, vcpus);
          assert.equal(found.at(-1)?.type, 127);
          assert.ok(structures.bytes.length <= Number(loaderPages.size));
        },
      ),
    );
  });

  it('say what Linux printed of the reference: Xen HVM domU, BIOS 4.17.7 11/04/2026', () => {
    const found = structuresIn(tablesFor(4)[2].bytes);
    const textsOf = (type: number): readonly string[] | undefined =>
      found.find((one) => one.type === type)?.texts;
    assert.deepEqual(textsOf(0), ['Xen', '4.17.7', '11/04/2026']);
    assert.deepEqual(textsOf(1), ['Xen', 'HVM domU', '4.17.7', uuid.text]);
    const [, system] = found;
    assert.deepEqual(system?.whole.subarray(8, 24), uuid.bytes);
  });
});
