import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as abi from '../abi/index.js';
import { armMagicPages, backendsAwaited, connectBackends, serveBackends } from './backends.js';
import type { Domain } from './domain.js';
import { hvmParam } from './hvm_params.js';
import { mapGfn } from './physmap.js';
import { freeRam, takeRam } from './ram.js';
import { call, makeTestDomain, peek, peekBytes, poke, scratch, testRam } from './test_domain.js';
import * as guest from './test_events.js';
import { toolstackAfterShutdown } from './toolstack.js';
import { storeRead, storeWrite } from './xenstore/index.js';
import { ask, getField, makeConnected } from './xenstore/test_store.js';
import { textOf } from './xenstore/text.js';

function getParam(domain: Domain, index: number): bigint | number {
  const argument = { domid: abi.DOMID_SELF, pad: 0, index, value: 0n };
  const { returned } = call(
    domain,
    0,
    abi.__HYPERVISOR_hvm_op,
    abi.HVMOP_get_param,
    poke(domain, abi.xen_hvm_param, argument),
  );
  return returned === 0 ? peek(domain, abi.xen_hvm_param).value : returned;
}

const params = [
  abi.HVM_PARAM_STORE_PFN,
  abi.HVM_PARAM_STORE_EVTCHN,
  abi.HVM_PARAM_CONSOLE_PFN,
  abi.HVM_PARAM_CONSOLE_EVTCHN,
];

test('an Arm guest finds its pages where the toolstack puts them, and its channels', () => {
  assert.deepEqual(armMagicPages, { start: 0x39000, count: 4 });
  const domain = makeConnected();
  assert.deepEqual(
    params.map((index) => getParam(domain, index)),
    [0x39001n, 1n, 0x39000n, 2n],
  );
  for (const port of [1, 2]) {
    const { status, vcpu, u } = guest.status(domain, port);
    assert.deepEqual([status, vcpu, u.interdomain?.dom], [abi.EVTCHNSTAT_interdomain, 0, 0]);
  }
  const [console, store] = [0, 1].map((i) => {
    const frame = domain.memory.readable(domain.state.grants.frames[0]!)!;
    return abi.grant_entry_v1.decode(frame, i * abi.grant_entry_v1.size);
  });
  assert.deepEqual(console, { flags: 0x19, domid: 0, frame: 0x39000 }, 'granted, and mapped for writing');
  assert.deepEqual(store, { flags: 0x19, domid: 0, frame: 0x39001 });
});

test('a domain that Xen builds without a toolstack has no parameters, pages or channels', () => {
  const domain = makeTestDomain('arm');
  assert.deepEqual(
    params.map((index) => getParam(domain, index)),
    [0n, 0n, 0n, 0n],
  );
  assert.equal(guest.bindIpi(domain), 1, 'port 1 is free');
  assert.deepEqual([domain.state.xenstore, domain.state.pvConsole], [null, null]);
});

test('pages elsewhere, for other kinds of guests', () => {
  const domain = makeTestDomain('pvh');
  connectBackends(domain, { name: 'other', pages: { store: 0xfe, console: 0xfd } });
  assert.deepEqual(
    params.map((index) => getParam(domain, index)),
    [0xfen, 1n, 0xfdn, 2n],
  );
  assert.equal(ask(domain, abi.XS_READ, 'name\0'), 'other');
});

test('a builder that forgot the pages, or has no ports to spare, is told so', () => {
  assert.throws(() => connectBackends(makeTestDomain('arm'), { name: 'x' }), { name: 'InputError' });
  assert.throws(() => makeConnected({ maxEvtchnPort: 1 }), { name: 'InputError' });
});

test('daemons work when they are served, not before', () => {
  const domain = makeConnected();
  assert.equal(backendsAwaited(domain), false);
  guest.send(domain, 1);
  guest.send(domain, 1);
  assert.equal(backendsAwaited(domain), true);
  assert.deepEqual(domain.state.remoteEvents, [1]);
  serveBackends(domain);
  assert.equal(backendsAwaited(domain), false);
});

test('the pages stay the daemons’ when the guest gives them away', () => {
  const domain = makeConnected();
  for (const gfn of [0x39000, 0x39001, 0x39002]) mapGfn(domain, gfn, null);
  const free = freeRam(domain);
  assert.deepEqual([...free], [0x39002]);
  takeRam(domain, free, 1, 0);
  storeWrite(domain, 'data', 'x');
  assert.equal(serveBackends(domain).console.length, 0);
});

test('the UUID: told by Xen and in the store', () => {
  const uuid = '12345678-9abc-def0-1234-56789abcdef0';
  const domain = makeConnected({ uuid });
  assert.equal(ask(domain, abi.XS_READ, 'vm\0'), `/vm/${uuid}`);
  assert.equal(ask(domain, abi.XS_READ, `/vm/${uuid}/uuid\0`), uuid);
  const { returned } = call(domain, 0, abi.__HYPERVISOR_xen_version, abi.XENVER_guest_handle, scratch);
  assert.equal(returned, 0);
  assert.equal(Buffer.from(peekBytes(domain, 16)).toString('hex'), uuid.replaceAll('-', ''));
  assert.throws(() => makeTestDomain('arm', 1, { uuid: 'x' }), { name: 'InputError' });
});

test('after a soft reset the channels are new, the connection empty and the tree as at first', () => {
  const domain = makeConnected({ softReset: true });
  const own = domain.state.xenstore!.connection.nodes;
  ask(domain, abi.XS_WRITE, 'data/mine\x001');
  ask(domain, abi.XS_WATCH, 'data\0t\0');
  guest.bindIpi(domain);
  const reset = poke(domain, abi.sched_shutdown, { reason: abi.SHUTDOWN_soft_reset });
  call(domain, 0, abi.__HYPERVISOR_sched_op, abi.SCHEDOP_shutdown, reset);
  assert.equal(toolstackAfterShutdown(domain), 'soft-reset');
  assert.equal(ask(domain, abi.XS_READ, 'data/mine\0'), '!ENOENT');
  assert.equal(ask(domain, abi.XS_READ, 'name\0'), 'guest');
  assert.equal(
    textOf(storeRead(domain, 'store/port')!),
    String(hvmParam(domain, abi.HVM_PARAM_STORE_EVTCHN)),
  );
  assert.deepEqual(domain.state.xenstore!.connection.watches, []);
  assert.equal(getField(domain, 'connection'), abi.XENSTORE_CONNECTED);
  assert.equal(domain.state.xenstore!.connection.nodes, own);
});

test('a guest that gave its page away has no store after a soft reset', () => {
  const domain = makeConnected({ softReset: true, ram: [testRam, armMagicPages] });
  mapGfn(domain, 0x39001, null);
  const reset = poke(domain, abi.sched_shutdown, { reason: abi.SHUTDOWN_soft_reset });
  call(domain, 0, abi.__HYPERVISOR_sched_op, abi.SCHEDOP_shutdown, reset);
  assert.equal(toolstackAfterShutdown(domain), 'soft-reset');
  assert.deepEqual([domain.state.xenstore, domain.state.pvConsole], [null, null]);
});
