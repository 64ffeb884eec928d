/**
 * The daemons of the toolstack's domain that serve a guest: xenstored and the console daemon. The guest shares a page
 * and an event channel with each. What it asks of them is done when the machine calls {@link serveBackends}, which is
 * its schedule's to decide, as on a host whose other domain runs when it runs.
 */
import {
  grant_entry_v1,
  GTF_permit_access,
  GTF_reading,
  GTF_writing,
  GNTTAB_RESERVED_CONSOLE,
  GNTTAB_RESERVED_XENSTORE,
  GUEST_MAGIC_BASE,
  HVM_PARAM_CONSOLE_EVTCHN,
  HVM_PARAM_CONSOLE_PFN,
  HVM_PARAM_MONITOR_RING_PFN,
  HVM_PARAM_STORE_EVTCHN,
  HVM_PARAM_STORE_PFN,
  viewOf,
} from '../abi/index.js';
import { frameBytes, InputError, present } from '../base/index.js';
import type { FrameRange } from '../base/index.js';
import { firstXenVcpu } from '../identity/index.js';
import { clockOf } from './clock.js';
import type { Domain, DomainConfig } from './domain.js';
import { createRemoteChannel, toolstackDomid } from './event_channels/index.js';
import { hvmParam, setHvmParam } from './hvm_params.js';
import { clearFrame, mfnOfGfn } from './physmap.js';
import { drainConsole } from './pv_console.js';
import { uuidText } from './uuid.js';
import { introduce, newStore, serveStore, storeRead, writeDomainTree } from './xenstore/index.js';

/**
 * The pages that an Arm guest shares with daemons: console, xenstore, vm_event and the emulated UART's. They are RAM of
 * the domain outside of its memory banks (Xen 4.17 tools/libs/guest/xg_dom_arm.c, alloc_magic_pages): a builder adds them
 * to `DomainConfig.ram`, but not to the memory that the guest is told of.
 */
export const armMagicPages: FrameRange = { start: Number(GUEST_MAGIC_BASE) / frameBytes, count: 4 };

/**
 * Where the pages of a PVH guest are that its toolstack and its firmware use, beside its memory (Xen 4.17
 * tools/libs/light/libxl_x86_acpi.c; tools/libs/guest/xg_dom_x86.c, special_pfn): ACPI tables and special pages. They are RAM of the
 * domain, too.
 */
const pvhPages: FrameRange = { start: 0xf_c000, count: 0x4000 };

/** The memory of a PVHVM guest counts the hole below 1 MiB, where a PC's video memory is. */
const hvmVideoKiB = 128;

export interface BackendOptions {
  /** The domain's name, as in xl.cfg. */
  readonly name: string;
  /** Guest frame numbers of the shared pages; those of {@link armMagicPages} when absent. */
  readonly pages?: { readonly console: number; readonly store: number };
  /** XENSTORE_SERVER_FEATURE_* bits to be offered; 0, as Xen's C xenstored has it, when absent. */
  readonly storeFeatures?: number;
}

const armPages = { console: armMagicPages.start, store: armMagicPages.start + 1 };

/**
 * Connects a new domain to a xenstore and a console, as xl does: an event channel for each, first the store's; zeroed
 * pages, told by HVM parameters and granted to the daemons; the domain's tree; the introduction. A domain that is not
 * connected finds every parameter 0, which says that there is neither: so are those that Xen itself builds without a
 * toolstack. Throws InputError when the domain has no RAM where the pages are to be.
 */
export function connectBackends(domain: Domain, options: BackendOptions): void {
  const { console: consoleGfn, store: storeGfn } = options.pages ?? armPages;
  for (const gfn of [consoleGfn, storeGfn]) clearFrame(domain, ramFrame(domain, gfn));
  setHvmParam(domain, HVM_PARAM_CONSOLE_PFN, BigInt(consoleGfn));
  setHvmParam(domain, HVM_PARAM_STORE_PFN, BigInt(storeGfn));
  if (options.pages === undefined) {
    setHvmParam(domain, HVM_PARAM_MONITOR_RING_PFN, BigInt(armMagicPages.start + 2));
  }
  connectChannels(domain, options.name, options.storeFeatures ?? 0);
}

function ramFrame(domain: Domain, gfn: number): number {
  const mfn = mfnOfGfn(domain, gfn);
  if (mfn === null) {
    throw new InputError(
      `the domain has no RAM at guest frame 0x${gfn.toString(16)} for a page of its daemons`,
    );
  }
  return mfn;
}

/** Makes the channels and all that follows from them; the pages are there, and the parameters say where. */
function connectChannels(domain: Domain, name: string, features: number): void {
  const gfns = {
    console: Number(hvmParam(domain, HVM_PARAM_CONSOLE_PFN)),
    store: Number(hvmParam(domain, HVM_PARAM_STORE_PFN)),
  };
  const ports = { store: newChannel(domain), console: newChannel(domain) };
  setHvmParam(domain, HVM_PARAM_STORE_EVTCHN, BigInt(ports.store));
  setHvmParam(domain, HVM_PARAM_CONSOLE_EVTCHN, BigInt(ports.console));
  seedGrants(domain, gfns.console, gfns.store);
  const { state } = domain;
  state.remoteEvents = [];
  state.pvConsole = { mfn: ramFrame(domain, gfns.console), port: ports.console };
  const introduction = { mfn: ramFrame(domain, gfns.store), port: ports.store, features };
  state.xenstore =
    state.xenstore === null ? newStore(domain, introduction) : { ...state.xenstore, ...introduction };
  writeDomainTree(domain, {
    name,
    uuid: uuidText(state.config),
    memoryKiB: memoryKiB(state.config),
    storePort: ports.store,
    storeGfn: gfns.store,
    consolePort: ports.console,
    consoleGfn: gfns.console,
    startSec: clockOf(domain).wallclockSec + Number(state.nowNs / 1_000_000_000n),
  });
  introduce(domain);
}

function newChannel(domain: Domain): number {
  const port = createRemoteChannel(domain, firstXenVcpu);
  if (port < 0) throw new InputError('the domain may have too few event channels for its daemons');
  return port;
}

/** What xl.cfg calls the domain's memory: its RAM without the pages of daemons and firmware. */
function memoryKiB({ kind, ram }: DomainConfig): number {
  const others = kind === 'arm' ? armMagicPages : pvhPages;
  const videoKiB = kind === 'pvhvm' ? hvmVideoKiB : 0;
  const frames = ram
    .filter(({ start }) => start < others.start || start >= others.start + others.count)
    .reduce((sum, { count }) => sum + count, 0);
  return (frames * frameBytes) / 1024 + videoKiB;
}

/**
 * The first grants are made by the toolstack, so that daemons need no privilege to map the pages; they do so at once
 * and for good (Xen 4.17 tools/libs/guest/xg_dom_boot.c, xc_dom_gnttab_seed).
 */
function seedGrants(domain: Domain, consoleGfn: number, storeGfn: number): void {
  const mfn = present(domain.state.grants.frames[0], 'the first frame of the grant table');
  const view = viewOf(present(domain.memory.writable(mfn), `frame ${mfn}`));
  const flags = GTF_permit_access | GTF_reading | GTF_writing;
  const seed = (index: number, frame: number): void =>
    grant_entry_v1.write(view, index * grant_entry_v1.size, { flags, domid: toolstackDomid, frame });
  seed(GNTTAB_RESERVED_CONSOLE, consoleGfn);
  seed(GNTTAB_RESERVED_XENSTORE, storeGfn);
}

/**
 * After a soft reset, which closed the channels: they are made anew, and the domain's tree too (Xen 4.17
 * tools/libs/light/libxl_create.c, do_domain_soft_reset). Where the guest has given a shared page away, there is neither
 * store nor console any more.
 */
export function reconnectBackends(domain: Domain): void {
  const { xenstore } = domain.state;
  const pages = [HVM_PARAM_STORE_PFN, HVM_PARAM_CONSOLE_PFN].map((index) => Number(hvmParam(domain, index)));
  if (xenstore === null || pages.some((gfn) => mfnOfGfn(domain, gfn) === null)) {
    Object.assign(domain.state, { xenstore: null, pvConsole: null, remoteEvents: [] });
    return;
  }
  const name = storeRead(domain, 'name') ?? new Uint8Array(0);
  connectChannels(domain, String.fromCharCode(...name), xenstore.features);
}

/** What the daemons did that the host must know of. */
export interface BackendOutput {
  /** What the guest wrote to its PV console. */
  readonly console: Uint8Array;
}

const nothing: BackendOutput = { console: new Uint8Array(0) };

/** Whether the guest has sent a daemon an event since it was last served. */
export function backendsAwaited({ state }: Domain): boolean {
  return state.remoteEvents.length > 0;
}

/**
 * Lets the daemons to which the guest sent events do their work, and tell the guest by events of theirs. At most a page
 * of requests and of text is dealt with, however often it is called.
 */
export function serveBackends(domain: Domain): BackendOutput {
  const { remoteEvents, xenstore, pvConsole } = domain.state;
  if (remoteEvents.length === 0) return nothing;
  domain.state.remoteEvents = [];
  if (remoteEvents.includes(xenstore?.port ?? 0)) serveStore(domain);
  return remoteEvents.includes(pvConsole?.port ?? 0) ? { console: drainConsole(domain) } : nothing;
}
