import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { enter, mapped, watched } from '../../test/boot/made_kernel.js';
import { readGuest, writeGuest } from './guest_memory.js';
import { xenVcpuId } from '../identity/index.js';

describe('guest memory', () => {
  it('is read and written by kernel address, over the ends of pages, and not where nothing is', () => {
    const made = watched();
    enter(made, 0, 0);
    const { guest, text } = made;
    const bytes = Uint8Array.from({ length: 9000 }, (_, i) => i & 0xff);
    assert.ok(writeGuest(guest.machine, xenVcpuId(0), text + 0x1_0fff0n, bytes));
    assert.deepEqual(readGuest(guest.machine, xenVcpuId(0), text + 0x1_0fff0n, 9000), bytes);
    assert.deepEqual(readGuest(guest.machine, xenVcpuId(0), text, 0), new Uint8Array(0));
    // 64 MiB of memory are behind the block's gigabyte.
    assert.equal(readGuest(guest.machine, xenVcpuId(0), mapped + 0x3fff_fffcn, 8), null);
    assert.equal(writeGuest(guest.machine, xenVcpuId(0), 0n, bytes), false);
    assert.equal(readGuest(guest.machine, xenVcpuId(7), text, 8), null);
  });

  it('that is only read keeps what was decoded; that is written does not', () => {
    const made = watched();
    enter(made, 0, 0);
    const { guest, text } = made;
    const { processor } = guest.machine;
    const told: number[] = [];
    const wrote = processor.wrote.bind(processor);
    processor.wrote = (place, bytes) => {
      told.push(place);
      wrote(place, bytes);
    };
    readGuest(guest.machine, xenVcpuId(0), text, 100);
    assert.deepEqual(told, []);
    writeGuest(guest.machine, xenVcpuId(0), text, Uint8Array.of(1));
    assert.equal(told.length, 1);
  });
});
