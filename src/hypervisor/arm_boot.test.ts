/**
 * What a stock arm64 Linux 6.1 asks of Xen on its way to user space (arch/arm/xen/enlighten.c, drivers/xen/grant-table.c,
 * events/events_fifo.c, xenbus/xenbus_probe.c and xenbus_xs.c, tty/hvc/hvc_xen.c, manage.c, cpu_hotplug.c, xen-balloon.c),
 * in its order, with the answers on which it goes on; with xenstore and console, and without.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as abi from '../abi/index.js';
import { xenVcpuId } from '../identity/index.js';
import type { Domain, DomainConfig } from './domain.js';
import { readableGfn } from './physmap.js';
import { psciCall } from './psci.js';
import { refreshAreas } from './runstate.js';
import { call, identityPort, makeTestDomain, nowhere, peek, peekView, poke, scratch } from './test_domain.js';
import * as guest from './test_events.js';
import { advanceTo } from './time.js';
import { storeWrite } from './xenstore/index.js';
import { ask, exchange, makeConnected } from './xenstore/test_store.js';

/** Where Linux puts what it shows to Xen, in guest frames; the grant region is told by the device tree. */
const sharedInfoGfn = 0x20;
const vcpuInfoGfn = 0x21;
const grantGfn = 0x38000;

function op<A>(
  domain: Domain,
  vcpu: number,
  number: number,
  command: number,
  type: abi.Struct<unknown, A>,
  argument: A,
): number {
  return call(domain, vcpu, number, command, poke(domain, type, argument)).returned;
}

function vcpuOp<A>(
  domain: Domain,
  vcpu: number,
  command: number,
  type: abi.Struct<unknown, A>,
  argument: A,
): number {
  return call(domain, vcpu, abi.__HYPERVISOR_vcpu_op, command, vcpu, poke(domain, type, argument)).returned;
}

function addToPhysmap(domain: Domain, space: number, gpfn: number): number {
  const argument = { domid: abi.DOMID_SELF, size: 0, space, idx: 0n, gpfn: BigInt(gpfn) };
  return op(
    domain,
    0,
    abi.__HYPERVISOR_memory_op,
    abi.XENMEM_add_to_physmap,
    abi.xen_add_to_physmap,
    argument,
  );
}

function grantOp<A>(domain: Domain, command: number, type: abi.Struct<unknown, A>, argument: A): number {
  return call(domain, 0, abi.__HYPERVISOR_grant_table_op, command, poke(domain, type, argument), 1).returned;
}

function param(domain: Domain, index: number): bigint {
  const argument = { domid: abi.DOMID_SELF, pad: 0, index, value: 77n };
  assert.equal(op(domain, 0, abi.__HYPERVISOR_hvm_op, abi.HVMOP_get_param, abi.xen_hvm_param, argument), 0);
  return peek(domain, abi.xen_hvm_param).value;
}

/** xen_early_init: "Xen 4.17 support found". */
function earlyInit(domain: Domain): void {
  const features = { submap_idx: 0, submap: 0 };
  const number = abi.__HYPERVISOR_xen_version;
  assert.equal(op(domain, 0, number, abi.XENVER_get_features, abi.xen_feature_info, features), 0);
  const wanted =
    domain.state.config.release === '4.17' ? 0x1_6005 : peek(domain, abi.xen_feature_info).submap;
  assert.equal(
    peek(domain, abi.xen_feature_info).submap,
    wanted,
    'as the reference guest shows them in /sys/hypervisor',
  );
}

/** xen_guest_init, up to the wall clock of xen_late_init. */
function guestInit(domain: Domain): void {
  assert.equal(addToPhysmap(domain, abi.XENMAPSPACE_shared_info, sharedInfoGfn), 0, 'BUG otherwise');
  const info = abi.shared_info.arm64.decode(readableGfn(domain, sharedInfoGfn)!);
  assert.deepEqual(
    [info.wc_version % 2, info.wc_version > 0],
    [0, true],
    'xen_read_wallclock waits for an even version',
  );
  assert.equal(info.wc_sec + info.wc_sec_hi * 2 ** 32, 1_467_158_400);
}

/** gnttab_init: "Grant tables using version 1 layout", "Grant table initialized". */
function grantInit(domain: Domain): void {
  const size = { dom: abi.DOMID_SELF, nr_frames: 0, max_nr_frames: 0, status: 0 };
  for (let i = 0; i < 4; i += 1) {
    assert.equal(grantOp(domain, abi.GNTTABOP_query_size, abi.gnttab_query_size, size), 0);
    const { nr_frames, max_nr_frames, status } = peek(domain, abi.gnttab_query_size);
    assert.deepEqual([nr_frames, max_nr_frames, status], [1, 8, abi.GNTST_okay]);
  }
  assert.equal(grantOp(domain, abi.GNTTABOP_set_version, abi.gnttab_set_version, { version: 1 }), 0);
  assert.equal(
    grantOp(domain, abi.GNTTABOP_set_version, abi.gnttab_set_version, { version: 2 }),
    -abi.XEN_ENOSYS,
  );
  assert.equal(addToPhysmap(domain, abi.XENMAPSPACE_grant_table, grantGfn), 0);
  const frame = readableGfn(domain, grantGfn)!;
  const isConnected = domain.state.xenstore !== null;
  assert.deepEqual(
    frame.subarray(0, 2),
    Uint8Array.of(isConnected ? 0x19 : 0, 0),
    'the first entry is the console’s',
  );
  assert.ok(frame.subarray(16).every((byte) => byte === 0));
}

/** xen_init_IRQ and xen_starting_cpu: "Using FIFO-based ABI", "Xen: initializing cpu0", and for each other CPU. */
function bringUp(domain: Domain, vcpus: number): void {
  for (let vcpu = 0; vcpu < vcpus; vcpu += 1) {
    assert.equal(guest.initControl(domain, vcpu, 0x30 + vcpu), 0);
    if (vcpu > 0) {
      const args = [BigInt(vcpu), 0x4000_0000n, 0n];
      assert.equal(
        psciCall(domain, xenVcpuId(0), abi.PSCI_0_2_FN64_CPU_ON, args).returned,
        abi.PSCI_RET_SUCCESS,
      );
    }
    const info = { mfn: BigInt(vcpuInfoGfn), offset: 64 * vcpu, rsvd: 0 };
    const { VCPUOP_register_vcpu_info: command, vcpu_register_vcpu_info: type } = abi;
    assert.equal(vcpuOp(domain, vcpu, command, type, info), 0, 'BUG otherwise');
  }
}

/** xen_late_init: steal time. */
function lateInit(domain: Domain, vcpus: number): void {
  const assist = abi.VMASST_TYPE_runstate_update_flag;
  assert.equal(call(domain, 0, abi.__HYPERVISOR_vm_assist, abi.VMASST_CMD_enable, assist).returned, 0);
  for (let vcpu = 0; vcpu < vcpus; vcpu += 1) {
    const area = { addr: { v: 0x4_0000n + 64n * BigInt(vcpu) } };
    const { VCPUOP_register_runstate_memory_area: command, vcpu_register_runstate_memory_area: type } = abi;
    assert.equal(vcpuOp(domain, vcpu, command, type, area), 0);
  }
}

function bootTo(domain: Domain, vcpus: number): void {
  earlyInit(domain);
  guestInit(domain);
  grantInit(domain);
  bringUp(domain, vcpus);
  lateInit(domain, vcpus);
}

const releases: readonly DomainConfig['release'][] = ['4.17', '4.18'];

test('every call of the way up is answered as Linux needs it', () => {
  for (const release of releases) {
    bootTo(makeTestDomain('arm', 4, { release }), 4);
    bootTo(makeConnected({ release }, {}, 4), 4);
  }
});

test('steal time: what a CPU waited for before it was up, and nothing while it runs or sleeps', () => {
  const domain = makeConnected({}, {}, 2);
  advanceTo(domain, 5_000_000n);
  bootTo(domain, 2);
  domain.state.vcpus[1]!.blocked = { why: 'block' };
  advanceTo(domain, 9_000_000n);
  domain.state.vcpus[1]!.blocked = null;
  advanceTo(domain, 10_000_000n);
  for (const [vcpu, steal] of [5_000_000n - 5_000_000n, 5_000_000n].entries()) {
    refreshAreas(domain, xenVcpuId(vcpu), identityPort);
    const area = peek(domain, abi.vcpu_runstate_info, 0x4_0000n + 64n * BigInt(vcpu));
    assert.equal(area.state, abi.RUNSTATE_running);
    assert.equal(
      area.state_entry_time & abi.XEN_RUNSTATE_UPDATE,
      0n,
      'xen_get_runstate_snapshot waits for that',
    );
    const stolen = area.time[abi.RUNSTATE_runnable]! + area.time[abi.RUNSTATE_offline]!;
    assert.equal(stolen, steal, `vCPU ${vcpu}`);
  }
});

test('without a toolstack: no console and no xenbus, without an error', () => {
  const domain = makeTestDomain('arm', 2);
  bootTo(domain, 2);
  const params = [
    abi.HVM_PARAM_CONSOLE_EVTCHN,
    abi.HVM_PARAM_CONSOLE_PFN,
    abi.HVM_PARAM_STORE_EVTCHN,
    abi.HVM_PARAM_STORE_PFN,
  ];
  assert.deepEqual(
    params.map((index) => param(domain, index)),
    [0n, 0n, 0n, 0n],
    '0 means that there is none',
  );
});

/** One line of xenbus: a request with the strings that Linux sends. */
function xs(domain: Domain, type: number, ...strings: string[]): string {
  return ask(domain, type, strings.map((string) => `${string}\0`).join(''));
}

test('xenbus comes up, and its users find what they look for', () => {
  const domain = makeConnected({}, {}, 4);
  bootTo(domain, 4);
  assert.deepEqual(
    [param(domain, abi.HVM_PARAM_STORE_EVTCHN), param(domain, abi.HVM_PARAM_STORE_PFN)],
    [1n, 0x39001n],
  );
  assert.equal(guest.expandArray(domain, 0x50), 0, 'when the first channel is bound');
  // xs_init: a kernel that crashed before may have left watches.
  assert.equal(xs(domain, abi.XS_READ, 'control/platform-feature-xs_reset_watches'), '1');
  assert.equal(xs(domain, abi.XS_RESET_WATCHES, ''), 'OK\0');
  const { EVTCHN_FIFO_PENDING: pending } = abi;
  const word = peekView(domain, 4, 0x5_0004n).getUint32(0, true);
  assert.equal((word >>> pending) & 1, 1, 'the answer comes with an event at port 1');
  // xenbus_probe: devices.
  for (const path of ['device', 'backend']) {
    assert.equal(xs(domain, abi.XS_WATCH, path, 'FFFF800009EBBA50'), 'OK\0');
    assert.equal(xs(domain, abi.XS_DIRECTORY, path), path === 'device' ? 'suspend\0' : '!ENOENT');
  }
  // setup_shutdown_watcher.
  for (const feature of ['poweroff', 'reboot', 'suspend']) {
    assert.equal(ask(domain, abi.XS_WRITE, `control/feature-${feature}\x001`), 'OK\0');
  }
  assert.equal(xs(domain, abi.XS_WATCH, 'control/shutdown', 'A'), 'OK\0');
  // cpu_hotplug.c asks by Linux's own number of the CPU, which is the vCPU's id here.
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((cpu) => xs(domain, abi.XS_READ, `cpu/${cpu}/availability`)),
    ['online', 'online', 'online', 'online', '!ENOENT'],
  );
  // xen-balloon.c: what it was given less what it has at most is 0, so that it gives nothing back.
  const [target, most] = ['memory/target', 'memory/static-max'].map((path) => xs(domain, abi.XS_READ, path));
  assert.equal(target, most);
});

test('xl shutdown: the guest is told, looks, and says that it has seen it, in a transaction', () => {
  const domain = makeConnected();
  bootTo(domain, 2);
  xs(domain, abi.XS_WATCH, 'control/shutdown', 'A');
  storeWrite(domain, 'control/shutdown', 'poweroff');
  const start = exchange(domain, abi.XS_TRANSACTION_START, '\0');
  assert.deepEqual(start.events, ['control/shutdown|A']);
  const tx = Number.parseInt(start.answer, 10);
  assert.equal(ask(domain, abi.XS_READ, 'control/shutdown\0', tx), 'poweroff');
  assert.equal(ask(domain, abi.XS_WRITE, 'control/shutdown\0', tx), 'OK\0');
  const end = exchange(domain, abi.XS_TRANSACTION_END, 'T\0', tx);
  assert.deepEqual(end, { answer: 'OK\0', events: ['control/shutdown|A'], order: 'ea' });
});

test('hypercalls that Linux makes for what is not there are refused, and it knows how to go on', () => {
  const domain = makeConnected();
  assert.equal(
    call(domain, 0, abi.__HYPERVISOR_console_io, abi.CONSOLEIO_write, 1, scratch).returned,
    -abi.XEN_EPERM,
  );
  assert.equal(
    call(domain, 0, abi.__HYPERVISOR_physdev_op, abi.PHYSDEVOP_manage_pci_add, nowhere).returned,
    -abi.XEN_ENOSYS,
  );
});
