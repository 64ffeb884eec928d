import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as abi from '../abi/index.js';
import { serveBackends } from './backends.js';
import type { Domain } from './domain.js';
import { hvmParam } from './hvm_params.js';
import { writableGfn } from './physmap.js';
import { feedConsole } from './pv_console.js';
import { makeTestDomain } from './test_domain.js';
import * as guest from './test_events.js';
import { makeConnected } from './xenstore/test_store.js';

const { offsets } = abi.xencons_interface;
type Index = 'in_cons' | 'in_prod' | 'out_cons' | 'out_prod';

function page(domain: Domain): Uint8Array {
  return writableGfn(domain, Number(hvmParam(domain, abi.HVM_PARAM_CONSOLE_PFN)))!;
}

function get(domain: Domain, index: Index): number {
  return abi.viewOf(page(domain)).getUint32(offsets[index], true);
}

function set(domain: Domain, index: Index, value: number): void {
  abi.viewOf(page(domain)).setUint32(offsets[index], value, true);
}

function port(domain: Domain): number {
  return Number(hvmParam(domain, abi.HVM_PARAM_CONSOLE_EVTCHN));
}

/** As hvc_xen writes: as much as there is room for. */
function write(domain: Domain, bytes: Uint8Array): number {
  const from = get(domain, 'out_prod');
  const room = 2048 - ((from - get(domain, 'out_cons')) >>> 0);
  const ring = page(domain);
  for (const [i, byte] of bytes.subarray(0, room).entries()) ring[offsets.out + ((from + i) % 2048)] = byte;
  set(domain, 'out_prod', from + Math.min(room, bytes.length));
  return Math.min(room, bytes.length);
}

/** As hvc_xen reads: all that is there. */
function read(domain: Domain): Uint8Array {
  const from = get(domain, 'in_cons');
  const count = (get(domain, 'in_prod') - from) >>> 0;
  const bytes = Uint8Array.from({ length: count }, (_, i) => page(domain)[offsets.in + ((from + i) % 1024)]!);
  set(domain, 'in_cons', from + count);
  return bytes;
}

function drain(domain: Domain): Uint8Array {
  assert.equal(guest.send(domain, port(domain)), 0);
  return serveBackends(domain).console;
}

/** Whether an event came in at the console's port; it is taken. */
function wasTold(domain: Domain): boolean {
  const told = guest.getBit(domain, 'evtchn_pending', port(domain));
  guest.putBit(domain, 'evtchn_pending', port(domain), false);
  return told;
}

const start = fc.constantFrom(0, 1, 2047, 0xffff_fc00, 0xffff_ffff);
const chunks = fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 8 });

test('what the guest writes comes out, every byte in order, wherever the indexes stand', () => {
  fc.assert(
    fc.property(start, chunks, (at, texts) => {
      const domain = makeConnected();
      set(domain, 'out_cons', at);
      set(domain, 'out_prod', at);
      const out: number[] = [];
      for (const text of texts) {
        for (let rest = text; rest.length > 0;) {
          rest = rest.subarray(write(domain, rest));
          out.push(...drain(domain));
          assert.ok(wasTold(domain), 'that there is room');
        }
      }
      assert.deepEqual(
        out,
        texts.flatMap((text) => [...text]),
      );
    }),
    { numRuns: 50 },
  );
});

test('what the host types comes in, as far as there is room', () => {
  fc.assert(
    fc.property(start, chunks, (at, texts) => {
      const domain = makeConnected();
      set(domain, 'in_cons', at);
      set(domain, 'in_prod', at);
      const taken: number[] = [];
      for (const text of texts) {
        for (let rest = text; rest.length > 0;) {
          const count = feedConsole(domain, rest);
          assert.ok(count <= 1024 && count > 0);
          assert.ok(wasTold(domain));
          rest = rest.subarray(count);
          taken.push(...read(domain));
        }
      }
      assert.deepEqual(
        taken,
        texts.flatMap((text) => [...text]),
      );
    }),
    { numRuns: 50 },
  );
});

test('a full ring takes no more, and the guest is not told again', () => {
  const domain = makeConnected();
  assert.equal(feedConsole(domain, new Uint8Array(2000)), 1024);
  wasTold(domain);
  assert.equal(feedConsole(domain, new Uint8Array(1)), 0);
  assert.equal(wasTold(domain), false);
});

test('indexes that cannot be: nothing is read, written or told', () => {
  fc.assert(
    fc.property(fc.nat(0xffff_ffff), fc.integer({ min: 0, max: 0xffff_ffff - 2049 }), (at, more) => {
      const domain = makeConnected();
      set(domain, 'out_cons', at);
      set(domain, 'out_prod', at + 2049 + more);
      assert.equal(drain(domain).length, 0);
      assert.equal(get(domain, 'out_cons'), at);
      set(domain, 'in_cons', at);
      set(domain, 'in_prod', at + 1025 + more);
      assert.equal(feedConsole(domain, new Uint8Array(10)), 0);
      assert.equal(wasTold(domain), false);
    }),
  );
});

test('a domain without a console, and one that has closed its channel', () => {
  const without = makeTestDomain('arm');
  assert.equal(feedConsole(without, new Uint8Array(1)), 0);
  assert.deepEqual(serveBackends(without), { console: new Uint8Array(0) });
  const domain = makeConnected();
  write(domain, Uint8Array.of(1, 2));
  guest.close(domain, port(domain));
  assert.equal(guest.send(domain, port(domain)), -abi.XEN_EINVAL);
  assert.equal(feedConsole(domain, Uint8Array.of(3)), 1, 'the daemon does not know yet');
});
