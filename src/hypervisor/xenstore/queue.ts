/** Messages queued for the guest (Xen 4.17 tools/xenstore/xenstored_core.c, send_reply and send_event). */
import { viewOf, XENSTORE_PAYLOAD_MAX, XS_ERROR, XS_WATCH_EVENT, xsd_sockmsg } from '../../abi/index.js';
import type { ValueOf, XsdError } from '../../abi/index.js';
import { eventTimeoutNs, isOutOfMemory } from './quota.js';
import type { StoreConnection, StoreMessage, XenstoreState } from './state.js';
import { payloadOf } from './text.js';
import type { Cause } from './watches.js';

export type Header = ValueOf<typeof xsd_sockmsg>;

/** Answers up to this size are sent however much memory the guest uses, so that every error can be reported. */
const smallAnswer = 16;

function message(header: Header, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(xsd_sockmsg.size + payload.length);
  xsd_sockmsg.write(viewOf(bytes), 0, header);
  bytes.set(payload, xsd_sockmsg.size);
  return bytes;
}

function enqueue({ connection }: XenstoreState, queued: StoreMessage): void {
  connection.queue.push(queued);
  connection.memory += queued.bytes.length;
  if (queued.eventKey !== null) connection.queuedEvents[queued.eventKey] = true;
  if (queued.request === 0) return;
  const flight = connection.inFlight.find(({ request }) => request === queued.request);
  if (flight === undefined) connection.inFlight.push({ request: queued.request, messages: 1 });
  else flight.messages += 1;
}

/**
 * Queues the answer to a request: a payload, or an error. One above XENSTORE_PAYLOAD_MAX becomes -E2BIG, and one for
 * which the guest has no memory left -ENOMEM.
 */
export function queueAnswer(store: XenstoreState, to: Header, answer: Uint8Array | XsdError): void {
  const sent = typeof answer === 'string' ? answer : (answerError(store, answer) ?? answer);
  const payload = typeof sent === 'string' ? payloadOf(sent) : sent;
  const type = typeof sent === 'string' ? XS_ERROR : to.type;
  const bytes = message({ ...to, type, len: payload.length }, payload);
  enqueue(store, { bytes, request: store.connection.lastRequest, eventKey: null, deadlineNs: null });
}

function answerError(store: XenstoreState, { length }: Uint8Array): XsdError | null {
  if (length > XENSTORE_PAYLOAD_MAX) return 'E2BIG';
  return length > smallAnswer && isOutOfMemory(store, length + xsd_sockmsg.size) ? 'ENOMEM' : null;
}

/**
 * Queues a watch event, unless the same one waits already, the guest has no memory left or it does not fit into a
 * message. Special events are never taken for the same.
 */
export function queueEvent(
  { store, request, nowNs }: Omit<Cause, 'transaction'>,
  path: string,
  token: string,
): void {
  const length = path.length + token.length + 2;
  if (length > XENSTORE_PAYLOAD_MAX) return;
  const key = path.startsWith('@') ? null : `${path}\0${token}`;
  if (key !== null && store.connection.queuedEvents[key] === true) return;
  if (isOutOfMemory(store, length + xsd_sockmsg.size)) return;
  const header = { type: XS_WATCH_EVENT, req_id: 0, tx_id: 0, len: length };
  const bytes = message(header, payloadOf(path, token));
  enqueue(store, { bytes, request, eventKey: key, deadlineNs: nowNs + eventTimeoutNs });
}

/** A message has left the queue, written or dropped. */
function forget(connection: StoreConnection, { bytes, request, eventKey }: StoreMessage): void {
  connection.memory -= bytes.length;
  if (eventKey !== null) Reflect.deleteProperty(connection.queuedEvents, eventKey);
  const flight = connection.inFlight.find((candidate) => candidate.request === request);
  if (flight === undefined) return;
  flight.messages -= 1;
  if (flight.messages === 0) {
    connection.inFlight = connection.inFlight.filter((candidate) => candidate !== flight);
  }
}

/** The unwritten rest of the first message; null if the queue is empty. */
export function nextBytes({ queue, written }: StoreConnection): Uint8Array | null {
  return queue[0]?.bytes.subarray(written) ?? null;
}

/** Notes how many bytes of {@link nextBytes} were written. */
export function wrote(connection: StoreConnection, count: number): void {
  const [first] = connection.queue;
  if (first === undefined) return;
  connection.written += count;
  if (connection.written < first.bytes.length) return;
  connection.queue.shift();
  connection.written = 0;
  forget(connection, first);
}

/** Drops events that waited too long, except one that is partly written (xenstored_core.c, check_event_timeout). */
export function dropExpired(connection: StoreConnection, nowNs: bigint): void {
  const isExpired = ({ deadlineNs }: StoreMessage, at: number): boolean =>
    deadlineNs !== null && deadlineNs <= nowNs && (at > 0 || connection.written === 0);
  const expired = connection.queue.filter(isExpired);
  if (expired.length === 0) return;
  connection.queue = connection.queue.filter((queued, at) => !isExpired(queued, at));
  for (const queued of expired) forget(connection, queued);
}

/** Drops everything. */
export function emptyQueue(connection: StoreConnection): void {
  for (const queued of connection.queue) forget(connection, queued);
  connection.queue = [];
  connection.written = 0;
}
