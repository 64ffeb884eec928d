/**
 * The domain's connection: bytes in, requests carried out, bytes out, by a ring that is in guest memory and may hold
 * anything (docs/misc/xenstore-ring.txt; Xen 4.17 tools/xenstore/xenstored_core.c, handle_input and write_messages;
 * xenstored_domain.c, readchn and writechn).
 */
import {
  viewOf,
  XENSTORE_CONNECTED,
  xenstore_domain_interface,
  XENSTORE_ERROR_PROTO,
  XENSTORE_ERROR_RINGIDX,
  XENSTORE_PAYLOAD_MAX,
  XENSTORE_RECONNECT,
  XENSTORE_RING_SIZE,
  XENSTORE_SERVER_FEATURE_RECONNECTION,
  xsd_sockmsg,
} from '../../abi/index.js';
import { maxMemory, maxOutstanding } from './quota.js';
import { dropExpired, emptyQueue, nextBytes, queueAnswer, wrote } from './queue.js';
import type { Header } from './queue.js';
import { kindOf } from './requests.js';
import type { Outcome } from './requests.js';
import type { StoreConnection, XenstoreState } from './state.js';
import { dropAllTransactions, findTransaction } from './transactions.js';
import { removeAllWatches } from './watches.js';

/** A new connection. */
export function newConnection(): StoreConnection {
  return {
    ignored: false,
    input: new Uint8Array(0),
    queue: [],
    written: 0,
    queuedEvents: {},
    inFlight: [],
    lastRequest: 0,
    watches: [],
    transactions: [],
    nextTransactionId: 1,
    memory: 0,
    nodes: 0,
  };
}

/** The page that is shared with the guest: 4096 bytes, to be read and written now. */
type Page = Uint8Array;
type Ring = 'req' | 'rsp';

const { offsets } = xenstore_domain_interface;

function field(page: Page, name: keyof typeof offsets): number {
  return viewOf(page).getUint32(offsets[name], true);
}

function setField(page: Page, name: keyof typeof offsets, value: number): void {
  viewOf(page).setUint32(offsets[name], value, true);
}

/** The number of bytes in a ring; it can exceed the ring's size if the guest wrote invalid indices. */
function used(page: Page, ring: Ring): number {
  return (field(page, `${ring}_prod`) - field(page, `${ring}_cons`)) >>> 0;
}

function ringBytes(page: Page, ring: Ring): Uint8Array {
  return page.subarray(offsets[ring], offsets[ring] + XENSTORE_RING_SIZE);
}

/** Takes up to `most` bytes out of the requests. */
function takeBytes(page: Page, most: number): Uint8Array {
  const from = field(page, 'req_cons');
  const ring = ringBytes(page, 'req');
  const taken = new Uint8Array(Math.min(most, used(page, 'req')));
  for (let i = 0; i < taken.length; i += 1) taken[i] = ring[(from + i) % XENSTORE_RING_SIZE] ?? 0;
  setField(page, 'req_cons', from + taken.length);
  return taken;
}

/** Writes as many of the bytes as fit into the ring of answers, and returns their number. */
function putBytes(page: Page, bytes: Uint8Array): number {
  const from = field(page, 'rsp_prod');
  const ring = ringBytes(page, 'rsp');
  const count = Math.min(bytes.length, XENSTORE_RING_SIZE - used(page, 'rsp'));
  for (const [i, byte] of bytes.subarray(0, count).entries()) ring[(from + i) % XENSTORE_RING_SIZE] = byte;
  setField(page, 'rsp_prod', from + count);
  return count;
}

/**
 * Serves the connection until nothing is left to be done: whether anything was. `page` is the shared page. The guest
 * does not run meanwhile, so that at most a ring full of requests is carried out and a ring full of answers written.
 */
export function serveConnection(store: XenstoreState, page: Page, nowNs: bigint): boolean {
  const reconnected = reconnect(store, page);
  dropExpired(store.connection, nowNs);
  let progress = reconnected;
  for (let step = true; step;) {
    const took = canTake(store, page) && takeInput(store, page, nowNs);
    const gave = canPut(store, page) && putOutput(store, page);
    step = took || gave;
    progress ||= step;
  }
  return progress;
}

/** Only a store that offers it lets the guest begin anew, as it does after an error too. */
function reconnect(store: XenstoreState, page: Page): boolean {
  const isOffered = (store.features & XENSTORE_SERVER_FEATURE_RECONNECTION) !== 0;
  if (!isOffered || field(page, 'connection') !== XENSTORE_RECONNECT) return false;
  resetConnection(store, page);
  return true;
}

/** Resets the connection and empties both rings; nodes stay (domain_conn_reset). */
export function resetConnection(store: XenstoreState, page: Page): void {
  closeConnection(store);
  const { nodes, memory } = store.connection;
  store.connection = { ...newConnection(), nodes, memory };
  for (const index of ['req_cons', 'req_prod', 'rsp_cons', 'rsp_prod'] as const) setField(page, index, 0);
  if (store.features !== 0) setField(page, 'server_features', store.features);
  setField(page, 'error', 0);
  setField(page, 'connection', XENSTORE_CONNECTED);
}

function closeConnection(store: XenstoreState): void {
  removeAllWatches(store);
  dropAllTransactions(store);
  emptyQueue(store.connection);
  store.connection.input = new Uint8Array(0);
}

/** The guest has violated the protocol; its connection is ignored from now on (ignore_connection). */
function ignore(store: XenstoreState, page: Page, error: number): boolean {
  setField(page, 'error', error);
  closeConnection(store);
  store.connection.ignored = true;
  return true;
}

function canTake({ connection }: XenstoreState, page: Page): boolean {
  if (connection.ignored || connection.memory >= maxMemory) return false;
  return connection.inFlight.length < maxOutstanding && used(page, 'req') !== 0;
}

function canPut({ connection }: XenstoreState, page: Page): boolean {
  return !connection.ignored && connection.queue.length > 0 && used(page, 'rsp') !== XENSTORE_RING_SIZE;
}

/** Reads the available part of a message, and executes the request once it is complete. */
function takeInput(store: XenstoreState, page: Page, nowNs: bigint): boolean {
  if (used(page, 'req') > XENSTORE_RING_SIZE) return ignore(store, page, XENSTORE_ERROR_RINGIDX);
  const { connection } = store;
  if (connection.input.length < xsd_sockmsg.size) {
    takeUpTo(store, page, xsd_sockmsg.size);
    if (connection.input.length < xsd_sockmsg.size) return true;
  }
  const header = xsd_sockmsg.decode(connection.input);
  if (header.len > XENSTORE_PAYLOAD_MAX) return ignore(store, page, XENSTORE_ERROR_PROTO);
  takeUpTo(store, page, xsd_sockmsg.size + header.len);
  if (connection.input.length < xsd_sockmsg.size + header.len) return true;
  const payload = connection.input.subarray(xsd_sockmsg.size);
  connection.input = new Uint8Array(0);
  carryOut(store, header, payload, nowNs);
  return true;
}

function takeUpTo({ connection }: XenstoreState, page: Page, length: number): void {
  const taken = takeBytes(page, length - connection.input.length);
  const joined = new Uint8Array(connection.input.length + taken.length);
  joined.set(connection.input);
  joined.set(taken, connection.input.length);
  connection.input = joined;
}

/**
 * In this order: -ENOSYS for no request, -EACCES for one that is not for guests, -ENOENT for a transaction that there is
 * not (xenstored_core.c, process_message).
 */
function carryOut(store: XenstoreState, header: Header, payload: Uint8Array, nowNs: bigint): void {
  const { connection } = store;
  connection.lastRequest += 1;
  const outcome = answerTo(store, header, payload, nowNs);
  queueAnswer(store, header, typeof outcome === 'string' ? outcome : outcome.payload);
  if (typeof outcome !== 'string') outcome.then?.();
}

function answerTo(
  store: XenstoreState,
  { type, tx_id }: Header,
  payload: Uint8Array,
  nowNs: bigint,
): Outcome {
  const kind = kindOf(type);
  if (kind === null) return 'ENOSYS';
  if (kind.privileged === true) return 'EACCES';
  const isWithin = kind.ignoresTransaction !== true && tx_id !== 0;
  const transaction = isWithin ? findTransaction(store.connection, tx_id) : null;
  if (isWithin && transaction === null) return 'ENOENT';
  const request = store.connection.lastRequest;
  return kind.run({ store, transaction, guest: true, request, nowNs, payload });
}

function putOutput(store: XenstoreState, page: Page): boolean {
  if (used(page, 'rsp') > XENSTORE_RING_SIZE) return ignore(store, page, XENSTORE_ERROR_RINGIDX);
  const bytes = nextBytes(store.connection);
  if (bytes === null) return false;
  wrote(store.connection, putBytes(page, bytes));
  return true;
}
