import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import * as abi from '../../abi/index.js';
import { domainToJson } from '../snapshot.js';
import type { Domain, GuestKind } from '../domain.js';
import { setHvmParam } from '../hvm_params.js';
import { assertGsi, deassertGsi } from '../pirqs.js';
import { domainShutdown } from '../power.js';
import { softReset } from '../soft_reset.js';
import { xenVcpuId } from '../../identity/index.js';
import { call, makeTestDomain, nowhere, peek, poke } from '../test_domain.js';
import { bindPirq } from '../test_events.js';
import { clearPending, pollPort } from '../event_channels/pending.js';
import { physdev_op } from './physdev_op.js';

const vector = (2n << 56n) | 0xf3n;

/** A domain that gets its events by a vector. */
function pvhvm(): Domain {
  const domain = makeTestDomain('pvhvm');
  setHvmParam(domain, abi.HVM_PARAM_CALLBACK_IRQ, vector);
  return domain;
}

const mapping = {
  domid: abi.DOMID_SELF,
  type: abi.MAP_PIRQ_TYPE_GSI,
  bus: 0,
  devfn: 0,
  entry_nr: 0,
  table_base: 0n,
};

function make(domain: Domain, command: number, argument: bigint): number {
  return call(domain, 0, physdev_op.number, command, argument).returned;
}

/** Maps an interrupt; the pirq, or minus an error. */
function map(domain: Domain, index: number, pirq = -1, others: Partial<typeof mapping> = {}): number {
  const argument = poke(domain, abi.physdev_map_pirq, { ...mapping, ...others, index, pirq });
  const returned = make(domain, abi.PHYSDEVOP_map_pirq, argument);
  return returned < 0 ? returned : peek(domain, abi.physdev_map_pirq, argument).pirq;
}

const eoi = (domain: Domain, irq: number): number =>
  make(domain, abi.PHYSDEVOP_eoi, poke(domain, abi.physdev_eoi, { irq }));

describe('physdev_op', () => {
  it('gives the pirqs that a real Xen 4.17 gave, in order: from 16 on', () => {
    const domain = pvhvm();
    assert.deepEqual(
      [9, 8, 12, 1, 6, 24].map((gsi) => map(domain, gsi)),
      [16, 17, 18, 19, 20, 21],
    );
    const query = poke(domain, abi.physdev_irq_status_query, { irq: 21, flags: 0 });
    assert.equal(make(domain, abi.PHYSDEVOP_irq_status_query, query), 0);
    assert.equal(peek(domain, abi.physdev_irq_status_query).flags, abi.XENIRQSTAT_needs_eoi);
  });

  it('goes on above the host’s interrupts from the last one down, until there is none', () => {
    const domain = pvhvm();
    const given = Array.from({ length: 48 }, (_, gsi) => map(domain, gsi));
    assert.deepEqual(given.slice(7, 10), [23, 55, 54]);
    assert.deepEqual(given.slice(39, 41), [24, -abi.XEN_EINVAL]);
    assert.equal(map(domain, 48), -abi.XEN_EINVAL);
  });

  it('answers 0 and changes nothing where interrupt or pirq is mapped otherwise', () => {
    const domain = pvhvm();
    assert.equal(map(domain, 9), 16);
    const before = JSON.stringify(domain.state.pirqs);
    // Xen's answer says 17, though nothing is mapped.
    assert.equal(map(domain, 9), 17);
    assert.equal(map(domain, 10, 16), 16);
    assert.equal(JSON.stringify(domain.state.pirqs), before);
  });

  it('refuses other types, other domains, and a domain that has no vector for events', () => {
    const domain = pvhvm();
    assert.equal(map(domain, 9, -1, { type: abi.MAP_PIRQ_TYPE_MSI }), -abi.XEN_EINVAL);
    assert.equal(map(domain, -1), -abi.XEN_EINVAL);
    assert.equal(map(domain, 9, 56), -abi.XEN_EINVAL);
    assert.equal(map(domain, 9, -1, { domid: 1 }), -abi.XEN_EPERM);
    assert.equal(map(domain, 9, -1, { domid: 77 }), -abi.XEN_ESRCH);
    assert.equal(map(makeTestDomain('pvhvm'), 9), -abi.XEN_EINVAL);
  });

  it('is not there for PVH, Arm and PV guests, whatever they pass', () => {
    for (const kind of ['pvh', 'arm', 'pv'] as const satisfies readonly GuestKind[]) {
      const domain = makeTestDomain(kind);
      for (const { command } of physdev_op.operations)
        assert.equal(make(domain, command, nowhere), -abi.XEN_ENOSYS, `${kind} ${command}`);
    }
    assert.equal(make(pvhvm(), abi.PHYSDEVOP_set_iopl, nowhere), -abi.XEN_ENOSYS);
    assert.equal(make(pvhvm(), abi.PHYSDEVOP_eoi, nowhere), -abi.XEN_EFAULT);
  });

  it('unmaps what is mapped, and gives out what is free once', () => {
    const domain = pvhvm();
    assert.equal(map(domain, 9), 16);
    const unmap = (pirq: number): number =>
      make(
        domain,
        abi.PHYSDEVOP_unmap_pirq,
        poke(domain, abi.physdev_unmap_pirq, { domid: abi.DOMID_SELF, pirq }),
      );
    assert.deepEqual([unmap(16), unmap(16), unmap(-1)], [0, 0, 0]);
    const free = (): number => {
      const argument = poke(domain, abi.physdev_get_free_pirq, { type: abi.MAP_PIRQ_TYPE_GSI, pirq: 0 });
      const returned = make(domain, abi.PHYSDEVOP_get_free_pirq, argument);
      return returned < 0 ? returned : peek(domain, abi.physdev_get_free_pirq).pirq;
    };
    assert.deepEqual([free(), free()], [16, 17]);
    assert.equal(map(domain, 9), 18);
  });

  it('makes an event of an interrupt that is bound, and again at its end while a level stays', () => {
    for (const [gsi, comesAgain] of [
      [24, true],
      [9, false],
    ] as const) {
      const domain = pvhvm();
      assert.equal(assertGsi(domain, gsi), false, 'nothing is mapped');
      deassertGsi(domain, gsi);
      const pirq = map(domain, gsi);
      assert.equal(assertGsi(domain, gsi), false, 'no port is bound');
      deassertGsi(domain, gsi);
      const port = bindPirq(domain, pirq);
      assert.ok(port > 0);
      assert.equal(assertGsi(domain, gsi), true);
      assert.equal(pollPort(domain, port), true);
      clearPending(domain, port);
      assert.equal(eoi(domain, pirq), 0);
      assert.equal(pollPort(domain, port), comesAgain);
      clearPending(domain, port);
      deassertGsi(domain, gsi);
      assert.equal(eoi(domain, pirq), 0);
      assert.equal(pollPort(domain, port), false);
    }
    assert.deepEqual([eoi(pvhvm(), 55), eoi(pvhvm(), 56)], [-abi.XEN_EINVAL, -abi.XEN_EINVAL]);
  });

  it('gives the same pirqs again after a soft reset, as a real Xen gave them to a crash kernel', () => {
    const domain = pvhvm();
    assert.deepEqual(
      [9, 8].map((gsi) => map(domain, gsi)),
      [16, 17],
    );
    domainShutdown(domain, abi.SHUTDOWN_soft_reset, xenVcpuId(0));
    assert.equal(softReset(domain), 0);
    assert.deepEqual(
      [9, 8].map((gsi) => map(domain, gsi)),
      [16, 17],
    );
    const port = bindPirq(domain, 16);
    assert.equal(assertGsi(domain, 9), true);
    assert.equal(pollPort(domain, port), true);
  });

  it('never throws, and keeps its state a plain and bounded value, whatever is passed', () => {
    const number = fc.integer({ min: -2, max: 70 });
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 31 }), number, number, fc.nat(5))), (calls) => {
        const domain = pvhvm();
        for (const [command, index, pirq, type] of calls) {
          make(domain, command, poke(domain, abi.physdev_map_pirq, { ...mapping, type, index, pirq }));
          if (index >= 0) assertGsi(domain, index % 48);
          if (pirq >= 0) deassertGsi(domain, pirq % 48);
        }
        assert.ok(domainToJson(domain).length < 100_000);
      }),
      { numRuns: 100 },
    );
  });
});
