/** For tests: a guest that speaks to its xenstore over the ring, as drivers/xen/xenbus of Linux does. The entry point does not export it. */
import {
  __HYPERVISOR_event_channel_op,
  evtchn_send,
  EVTCHNOP_send,
  HVM_PARAM_STORE_EVTCHN,
  HVM_PARAM_STORE_PFN,
  viewOf,
  xenstore_domain_interface,
  XENSTORE_RING_SIZE,
  XS_ERROR,
  XS_WATCH_EVENT,
  xsd_sockmsg,
} from '../../abi/index.js';
import type { ValueOf } from '../../abi/index.js';
import { present } from '../../base/index.js';
import { armMagicPages, connectBackends, serveBackends } from '../backends.js';
import type { BackendOptions } from '../backends.js';
import type { Domain, DomainConfig } from '../domain.js';
import { hvmParam } from '../hvm_params.js';
import { writableGfn } from '../physmap.js';
import { call, makeTestDomain, poke, testRam } from '../test_domain.js';
import { bytesOf, stringsOf, textOf } from './text.js';

/** An Arm domain with a xenstore and a console; domain 5. */
export function makeConnected(
  config: Partial<DomainConfig> = {},
  options: Partial<BackendOptions> = {},
  vcpus = 2,
): Domain {
  const domain = makeTestDomain('arm', vcpus, { domid: 5, ram: [testRam, armMagicPages], ...config });
  connectBackends(domain, { name: 'guest', ...options });
  return domain;
}

export function storePage(domain: Domain): Uint8Array {
  return present(writableGfn(domain, Number(hvmParam(domain, HVM_PARAM_STORE_PFN))), 'the xenstore page');
}

const { offsets } = xenstore_domain_interface;
export type Field = keyof typeof offsets;

export function getField(domain: Domain, field: Field): number {
  const at = offsets[field];
  return viewOf(storePage(domain)).getUint32(at, true);
}

export function setField(domain: Domain, field: Field, value: number): void {
  const at = offsets[field];
  viewOf(storePage(domain)).setUint32(at, value, true);
}

/** The guest notifies xenstored, which gets its turn. */
export function kick(domain: Domain): void {
  const port = Number(hvmParam(domain, HVM_PARAM_STORE_EVTCHN));
  call(domain, 0, __HYPERVISOR_event_channel_op, EVTCHNOP_send, poke(domain, evtchn_send, { port }));
  serveBackends(domain);
}

/** Puts as many of the bytes into the ring of requests as there is room for; how many. */
export function putRequestBytes(domain: Domain, bytes: Uint8Array): number {
  const from = getField(domain, 'req_prod');
  const room = XENSTORE_RING_SIZE - ((from - getField(domain, 'req_cons')) >>> 0);
  const page = storePage(domain);
  const count = Math.min(room, bytes.length);
  for (const [i, byte] of bytes.subarray(0, count).entries()) page[(from + i) % XENSTORE_RING_SIZE] = byte;
  setField(domain, 'req_prod', from + count);
  return count;
}

/** Takes all that is in the ring of answers. */
export function takeAnswerBytes(domain: Domain): number[] {
  const bytes: number[] = [];
  let at = getField(domain, 'rsp_cons');
  const page = storePage(domain);
  for (; at !== getField(domain, 'rsp_prod'); at = (at + 1) >>> 0) {
    bytes.push(page[offsets.rsp + (at % XENSTORE_RING_SIZE)] ?? 0);
  }
  setField(domain, 'rsp_cons', at);
  return bytes;
}

export interface Message {
  readonly header: ValueOf<typeof xsd_sockmsg>;
  /** A character a byte. */
  readonly text: string;
}

export function requestBytes(type: number, payload: string | Uint8Array, tx_id = 0, req_id = 1): Uint8Array {
  const body = typeof payload === 'string' ? bytesOf(payload) : payload;
  const bytes = new Uint8Array(xsd_sockmsg.size + body.length);
  bytes.set(xsd_sockmsg.encode({ type, req_id, tx_id, len: body.length }));
  bytes.set(body, xsd_sockmsg.size);
  return bytes;
}

/** The messages that these bytes are; what is left over is none. */
export function messagesOf(bytes: readonly number[]): Message[] {
  const messages: Message[] = [];
  const all = Uint8Array.from(bytes);
  for (let at = 0; at + xsd_sockmsg.size <= all.length;) {
    const header = xsd_sockmsg.decode(all, at);
    const end = at + xsd_sockmsg.size + header.len;
    if (end > all.length) break;
    messages.push({ header, text: textOf(all.subarray(at + xsd_sockmsg.size, end)) });
    at = end;
  }
  return messages;
}

/** Sends bytes a ring full at a time, and takes all that comes back. */
export function converse(domain: Domain, bytes: Uint8Array): Message[] {
  const received: number[] = [];
  let rest = bytes;
  do {
    rest = rest.subarray(putRequestBytes(domain, rest));
    kick(domain);
    received.push(...takeAnswerBytes(domain));
  } while (rest.length > 0);
  for (let more = [0]; more.length > 0; received.push(...more)) {
    kick(domain);
    more = takeAnswerBytes(domain);
  }
  return messagesOf(received);
}

/** What came of one request: the answer, `!EINVAL` for an error; and the events, `path|token`, in order. */
export interface Exchange {
  readonly answer: string;
  readonly events: string[];
  /** Answer and events in the order in which they came. */
  readonly order: string;
}

export function exchange(domain: Domain, type: number, payload: string | Uint8Array, tx = 0): Exchange {
  const messages = converse(domain, requestBytes(type, payload, tx));
  const events = messages.filter(({ header }) => header.type === XS_WATCH_EVENT);
  const [answer] = messages.filter(({ header }) => header.type !== XS_WATCH_EVENT);
  const { header, text } = present(answer, 'the answer');
  return {
    answer: header.type === XS_ERROR ? `!${text.slice(0, -1)}` : text,
    events: events.map((event) => stringsOf(bytesOf(event.text)).join('|')),
    order: messages.map((each) => (each.header.type === XS_WATCH_EVENT ? 'e' : 'a')).join(''),
  };
}

/** As {@link exchange}, the answer alone. */
export function ask(domain: Domain, type: number, payload: string | Uint8Array, tx = 0): string {
  return exchange(domain, type, payload, tx).answer;
}
