/**
 * Whatever a guest does: no call throws, each answers 0 or more or an error that its sub-operation declares; a clone
 * behaves as its original; and domains have equal hashes exactly when they have equal texts.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import * as abi from '../abi/index.js';
import { valueToJson } from '../base/index.js';
import { destinationApicId, firstXenVcpu, xenVcpuId } from '../identity/index.js';
import type { XenVcpuId } from '../identity/index.js';
import { cpuidLeaf } from './cpuid.js';
import type { Domain, GuestKind } from './domain.js';
import type { CallEffect } from './effects.js';
import type { XenRelease } from './release.js';
import { haltVcpu } from './halt.js';
import type { CallRecord } from './hypercall.js';
import { sendInit, sendNmi, sendSipi, takeNmi } from './init_sipi_nmi.js';
import { takeStart } from './power.js';
import { psciCall } from './psci.js';
import { refreshAreas } from './runstate.js';
import { cloneDomain, domainFromJson, domainToJson, hashDomain } from './snapshot.js';
import { hypercall, hypercallTable } from './table.js';
import { identityPort, makeTestDomain, nowhere, pokeBytes, scratch } from './test_domain.js';
import { advanceTo, nextDeadline } from './time.js';
import { toolstackAfterShutdown } from './toolstack.js';

const vcpus = 3;
const families = hypercallTable.map(({ number }) => number);

/** 32-bit words of an argument: mostly small, so that vCPUs, frames, domains and offsets are often met. */
const word = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 12 }) },
  { weight: 3, arbitrary: fc.constant(0) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(16, 17, 32, 64, 100, 250, 4032, 4096, 0x7ff0, 0x8000_0000, 0xffff_ffff),
  },
  { weight: 1, arbitrary: fc.nat({ max: 0xffff_ffff }) },
);
const vcpu = fc.integer({ min: 0, max: vcpus - 1 });

const call = fc.record({
  what: fc.constant('call' as const),
  family: fc.constantFrom(...families),
  command: fc.oneof(fc.integer({ min: 0, max: 26 }), word),
  startExtent: fc.constantFrom(0, 0, 0, 1),
  by: vcpu,
  words: fc.array(word, { minLength: 12, maxLength: 12 }),
  /** A domid in the first two bytes, where there is one. */
  self: fc.boolean(),
  /** The second, fourth and sixth word are the upper half of a 64-bit value, and zero. */
  wide: fc.boolean(),
  address: fc.constantFrom(scratch, scratch, scratch, scratch, 0n, nowhere, 0xffff_ffff_ffff_f800n),
  other: fc.oneof(vcpu, fc.constant(1), word),
});

const whats = [
  'psci',
  'init',
  'sipi',
  'nmi',
  'halt',
  'time',
  'deadline',
  'toolstack',
  'enter',
  'scribble',
] as const;

const event = fc.record({
  what: fc.constantFrom(...whats),
  by: vcpu,
  words: fc.array(word, { minLength: 3, maxLength: 3 }),
});

type Call = typeof call extends fc.Arbitrary<infer T> ? T : never;
type Event = typeof event extends fc.Arbitrary<infer T> ? T : never;

function putArgument(domain: Domain, { words, self, wide }: Call): void {
  const bytes = new Uint8Array(4096);
  const view = abi.viewOf(bytes);
  for (const [i, value] of words.entries()) view.setUint32(4 * i, wide && i % 2 === 1 ? 0 : value, true);
  if (self) view.setUint16(0, abi.DOMID_SELF, true);
  if (domain.state.physmap[Number(scratch >> 12n)] === undefined) pokeBytes(domain, bytes.subarray(0, 64));
}

function make(domain: Domain, step: Call): unknown {
  const { family, command, startExtent, by, address, other } = step;
  putArgument(domain, step);
  const first = family === abi.__HYPERVISOR_memory_op ? command + startExtent * 64 : command;
  const rest = family === abi.__HYPERVISOR_vcpu_op ? [BigInt(other), address] : [address, BigInt(other)];
  const before = watched(domain);
  const record = hypercall(domain, xenVcpuId(by), family, [BigInt(first), ...rest], identityPort);
  checkEffects(record, before, watched(domain));
  const { operations } = hypercallTable.find(({ number }) => number === family)!;
  const declared = operations.find(({ name }) => name === record.op)?.errors.map(({ error }) => error);
  if (record.returned < 0 && declared !== undefined) {
    const error = abi.XEN_errno_names[-record.returned]!;
    assert.ok(declared.includes(error), `${record.op} answers ${error}, which it does not declare`);
  }
  assert.deepEqual(
    domain.state.shownAt,
    reversed(domain),
    `${record.op} leaves the index of shown frames wrong`,
  );
  return record;
}

/** What of a domain a call's effects tell. */
interface Watched {
  readonly physmap: Domain['state']['physmap'];
  readonly ports: readonly { readonly isOpen: boolean; readonly notifyVcpu: XenVcpuId }[];
  readonly up: readonly boolean[];
}

function watched({ state: { events, physmap, vcpus } }: Domain): Watched {
  const ports = events.channels.map(({ binding, notifyVcpu }) => ({
    isOpen: binding.kind !== 'free',
    notifyVcpu,
  }));
  return { physmap: { ...physmap }, ports, up: vcpus.map(({ up }) => up) };
}

/** Every change that an effect could tell must be told, with its vCPU or port. */
function checkEffects({ op, effects = [] }: CallRecord, before: Watched, after: Watched): void {
  const has = (wanted: Partial<CallEffect>): boolean =>
    effects.some((effect) => isDeepStrictEqual({ ...effect, ...wanted }, effect));
  const told = (isChanged: boolean, ...wanted: Partial<CallEffect>[]): void =>
    assert.ok(!isChanged || wanted.some(has), `${op} does not tell ${JSON.stringify(wanted)}`);
  told(!isDeepStrictEqual(before.physmap, after.physmap), { kind: 'memoryMap' });
  for (const [port, { isOpen, notifyVcpu }] of after.ports.entries()) {
    const old = before.ports[port] ?? { isOpen: false, notifyVcpu: firstXenVcpu };
    told(!isOpen && old.isOpen, { kind: 'portClosed', port }, { kind: 'eventsReset' });
    told(isOpen && notifyVcpu !== old.notifyVcpu, { kind: 'portBound', port, vcpu: notifyVcpu });
  }
  for (const [vcpu, isUp] of after.up.entries()) {
    told(isUp !== before.up[vcpu], { kind: isUp ? 'vcpuUp' : 'vcpuDown', vcpu: xenVcpuId(vcpu) });
  }
}

function reversed({ state }: Domain): Record<string, number> {
  const shown = Object.entries(state.physmap).filter(([, mfn]) => mfn !== null);
  return Object.fromEntries(shown.map(([gfn, mfn]) => [String(mfn), Number(gfn)]));
}

const psciFunctions = Object.keys(abi.PSCI_FN_names).map(Number);

type Happening = (domain: Domain, id: XenVcpuId, words: [number, number, number]) => unknown;

const happenings: Readonly<Record<Event['what'], Happening>> = {
  psci: (domain, id, [a, b, c]) =>
    psciCall(domain, id, psciFunctions[a % psciFunctions.length]!, [BigInt(b), BigInt(c)]),
  init: (domain, id, [a]) => sendInit(domain, id, destinationApicId(a)),
  sipi: (domain, id, [a, b]) => sendSipi(domain, id, destinationApicId(a), b),
  nmi: (domain, id, [a]) => [sendNmi(domain, destinationApicId(a)), takeNmi(domain, id)],
  halt: (domain, id, [a]) => {
    haltVcpu(domain, id, a % 2 === 0);
  },
  time: (domain, _id, [a]) => {
    advanceTo(domain, domain.state.nowNs + BigInt(a % 3_000_000_000));
  },
  deadline: (domain) => {
    advanceTo(domain, nextDeadline(domain) ?? domain.state.nowNs);
  },
  toolstack: toolstackAfterShutdown,
  enter: (domain, id, [a, b]) => {
    refreshAreas(domain, id, identityPort);
    return [takeStart(domain, id), cpuidLeaf(domain, id, 0x4000_0000 + (a % 8), b % 4)];
  },
  scribble: (domain, _id, [a, b]) => {
    domain.memory.writable(a % 250)?.fill(b & 0xff, 0, 128);
  },
};

function happen(domain: Domain, { what, by, words: [a = 0, b = 0, c = 0] }: Event): unknown {
  return happenings[what](domain, xenVcpuId(by), [a, b, c]);
}

type Step = Call | Event;

/** What the step answers, as text. */
function perform(domain: Domain, step: Step): string {
  const answer = step.what === 'call' ? make(domain, step) : happen(domain, step);
  return valueToJson(answer ?? null);
}

const kinds: readonly GuestKind[] = ['pv', 'pvhvm', 'pvh', 'arm'];
const releases: readonly XenRelease[] = ['4.17', '4.18'];
const domainArguments = [fc.constantFrom(...kinds), fc.constantFrom(...releases), fc.boolean()] as const;
const steps = fc.array(fc.oneof({ weight: 4, arbitrary: call }, { weight: 1, arbitrary: event }), {
  minLength: 1,
  maxLength: 60,
  size: 'max',
});

function someDomain(kind: GuestKind, release: XenRelease, softReset: boolean): Domain {
  return makeTestDomain(kind, vcpus, { release, softReset });
}

test('no call throws, and each answers as it declares', () => {
  fc.assert(
    fc.property(...domainArguments, steps, (kind, release, softReset, list) => {
      const domain = someDomain(kind, release, softReset);
      for (const step of list) perform(domain, step);
    }),
    { numRuns: 300 },
  );
});

test('a clone, and a domain read back from its text, behave as their original', () => {
  fc.assert(
    fc.property(...domainArguments, steps, steps, (kind, release, softReset, before, after) => {
      const domain = someDomain(kind, release, softReset);
      for (const step of before) perform(domain, step);
      const copies = [cloneDomain(domain), domainFromJson(domainToJson(domain))];
      const untouched = cloneDomain(domain);
      const text = domainToJson(domain);
      for (const step of after) {
        const answer = perform(domain, step);
        for (const copy of copies) assert.equal(perform(copy, step), answer);
      }
      for (const copy of copies) assert.equal(domainToJson(copy), domainToJson(domain));
      assert.equal(domainToJson(untouched), text);
    }),
    { numRuns: 100 },
  );
});

test('domains along the way have equal hashes exactly when they have equal texts', () => {
  fc.assert(
    fc.property(...domainArguments, steps, (kind, release, softReset, list) => {
      const domain = someDomain(kind, release, softReset);
      const texts = new Map<string, string>();
      for (const step of list) {
        perform(domain, step);
        const [hash, text] = [hashDomain(domain), domainToJson(domain)];
        assert.equal(texts.get(hash) ?? text, text);
        texts.set(hash, text);
      }
      assert.equal(new Set(texts.values()).size, texts.size);
    }),
    { numRuns: 25 },
  );
});
