/**
 * What the toolstack writes into the store for a new domain (Xen 4.17 tools/libs/light: libxl_create.c,
 * libxl__domain_make; libxl_dom.c, libxl__build_post; libxl_console.c, libxl__device_console_add). The guest is of type
 * PVH, which every guest on Arm is, or HVM. What is only the toolstack's own, under /libxl, is left out but for its directory.
 */
import type { Domain, GuestKind } from '../domain.js';
import { toolstackDomid } from '../event_channels/index.js';
import { setNode, setPermissions, storeOf, toolstackView } from './daemon.js';
import { removeNode } from './nodes.js';
import type { View } from './nodes.js';
import { domainPath } from './paths.js';
import type { StorePermission } from './state.js';
import { bytesOf } from './text.js';

export interface TreeFacts {
  /** The domain's name, of which libxl allows any text. */
  readonly name: string;
  /** As text, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`. */
  readonly uuid: string;
  readonly memoryKiB: number;
  readonly storePort: number;
  readonly storeGfn: number;
  readonly consolePort: number;
  readonly consoleGfn: number;
  /** UTC, in seconds since 1970. */
  readonly startSec: number;
}

const none = { read: false, write: false } as const;
const empty = new Uint8Array(0);

interface Permissions {
  /** The toolstack's, which the guest may read. */
  readonly readable: readonly StorePermission[];
  /** The guest's own. */
  readonly own: readonly StorePermission[];
  /** The toolstack's alone. */
  readonly hidden: readonly StorePermission[];
}

function permissionsFor(domid: number): Permissions {
  const toolstack = { domid: toolstackDomid, ...none };
  return {
    readable: [toolstack, { domid, read: true, write: false }],
    own: [{ domid, ...none }],
    hidden: [toolstack],
  };
}

/** Makes a node without a value. */
function make(view: View, path: string, permissions: readonly StorePermission[]): void {
  setNode(view, path, empty);
  setPermissions(view, path, permissions);
}

function writeAll(view: View, directory: string, entries: readonly (readonly [string, string])[]): void {
  for (const [name, value] of entries) setNode(view, `${directory}/${name}`, bytesOf(value));
}

/** What the guest finds empty and may fill. */
const ownNodes = [
  'device/suspend/event-channel',
  'control/shutdown',
  'control/feature-poweroff',
  'control/feature-reboot',
  'control/feature-suspend',
  'control/sysrq',
  'data',
  'drivers',
  'feature',
  'attr',
  'error',
] as const;

/** Writes the whole tree, or anew: what was there of the domain goes first. */
export function writeDomainTree(domain: Domain, facts: TreeFacts): void {
  const view = toolstackView(domain);
  const { domid } = storeOf(domain);
  const directory = domainPath(domid);
  const permissions = permissionsFor(domid);
  for (const path of [directory, `/vm/${facts.uuid}`, backendPath(domid)]) {
    if (view.store.nodes[path] !== undefined) removeNode(view, path);
  }
  const { kind } = domain.state.config;
  writeHost(view, domid, kind, permissions);
  make(view, directory, permissions.readable);
  make(view, `/vm/${facts.uuid}`, permissions.readable);
  writeAll(view, directory, [
    ['vm', `/vm/${facts.uuid}`],
    ['name', facts.name],
  ]);
  writeGuestNodes(view, directory, permissions);
  if (kind === 'pvhvm') writeMachine(view, directory, permissions);
  writeVm(view, facts);
  writeResources(view, directory, domain, facts);
  writeConsole(view, domid, facts, permissions);
}

/** What is there before any guest: xenstored's own node and the toolstack's domain (tools/helpers/xen-init-dom0.c). */
function writeHost(view: View, domid: number, kind: GuestKind, { hidden }: Permissions): void {
  setNode(view, '/tool/xenstored', empty);
  const directory = domainPath(toolstackDomid);
  writeAll(view, directory, [
    ['domid', toolstackDomid.toString()],
    ['name', 'Domain-0'],
  ]);
  make(view, `/libxl/${domid}`, hidden);
  writeAll(view, `/libxl/${domid}`, [['type', kind === 'pvhvm' ? 'hvm' : 'pvh']]);
}

function writeGuestNodes(view: View, directory: string, { readable, own }: Permissions): void {
  for (const name of ['cpu', 'memory', 'device', 'control']) make(view, `${directory}/${name}`, readable);
  for (const name of ownNodes) make(view, `${directory}/${name}`, own);
  writeAll(view, directory, [
    ['control/platform-feature-multiprocessor-suspend', '1'],
    ['control/platform-feature-xs_reset_watches', '1'],
  ]);
}

/** What only a guest with firmware and a device model has. */
function writeMachine(view: View, directory: string, { readable, own }: Permissions): void {
  for (const name of ['feature-s3', 'feature-s4']) make(view, `${directory}/control/${name}`, own);
  for (const name of ['hvmloader', 'platform']) make(view, `${directory}/${name}`, readable);
  writeAll(view, directory, [
    ['hvmloader/bios', 'seabios'],
    ['hvmloader/allow-memory-relocate', '0'],
    ['platform/acpi', '1'],
    ['platform/acpi_s3', '1'],
    ['platform/acpi_s4', '1'],
    ['platform/acpi_laptop_slate', '0'],
    ['platform/device-model', 'qemu_xen'],
  ]);
}

function writeVm(view: View, { uuid, name, startSec }: TreeFacts): void {
  writeAll(view, `/vm/${uuid}`, [
    ['uuid', uuid],
    ['name', name],
    ['start_time', `${startSec}.00`],
  ]);
}

/** Every vCPU is available: libxl would leave those out that `maxvcpus` allows above `vcpus`. */
function writeResources(view: View, directory: string, { state }: Domain, facts: TreeFacts): void {
  const memory = facts.memoryKiB.toString();
  const cpus = state.vcpus.map(({ id }) => [`cpu/${id}/availability`, 'online'] as const);
  writeAll(view, directory, [
    ['memory/static-max', memory],
    ['memory/target', memory],
    ['memory/videoram', '0'],
    ['domid', state.config.domid.toString()],
    ['store/port', facts.storePort.toString()],
    ['store/ring-ref', facts.storeGfn.toString()],
    ...cpus,
  ]);
}

function backendPath(domid: number): string {
  return `${domainPath(toolstackDomid)}/backend/console/${domid}`;
}

/** The first console is no device: its directory has a place of its own, and the guest may change but one node of it. */
function writeConsole(view: View, domid: number, facts: TreeFacts, { readable, own }: Permissions): void {
  const frontend = `${domainPath(domid)}/console`;
  const backend = `${backendPath(domid)}/0`;
  make(view, frontend, readable);
  writeAll(view, frontend, [['backend', backend]]);
  writeAll(view, frontend, [['backend-id', toolstackDomid.toString()]]);
  setPermissions(view, `${frontend}/backend-id`, [
    ...own,
    { domid: toolstackDomid, read: true, write: false },
  ]);
  writeAll(view, frontend, [
    ['limit', consoleLimit.toString()],
    ['type', 'xenconsoled'],
    ['output', 'pty'],
    ['tty', consoleTty],
    ['port', facts.consolePort.toString()],
    ['ring-ref', facts.consoleGfn.toString()],
  ]);
  make(view, backend, readable);
  writeAll(view, backend, [
    ['frontend', frontend],
    ['frontend-id', domid.toString()],
    ['online', '1'],
    ['state', '1'],
    ['protocol', 'vt100'],
  ]);
}

/** Bytes that xenconsoled keeps for a slow reader (LIBXL_XENCONSOLE_LIMIT). */
const consoleLimit = 1048576;
/** xenconsoled writes the name of its pseudo-terminal there; the first of a host that has none yet. */
const consoleTty = '/dev/pts/0';
