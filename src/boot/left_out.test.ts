import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { call, enter, places, put, setAreas, watched } from '../../test/boot/made_kernel.js';
import { xenVcpuId } from '../identity/index.js';

describe('the limits of a kernel', () => {
  /** What the events tell of limits, when the kernel has settled `possible` CPUs and `max` as the most to bring up. */
  function told(commandLine: string, possible: number, max = 256, said: string | null = null): string[] {
    const made = watched(4, [], commandLine, said);
    enter(made, 0, 0);
    setAreas(made, 0, [0, 1, 2, 3].slice(0, possible));
    put(made, 0, BigInt(places.nrCpuIds), 4, BigInt(possible));
    put(made, 0, BigInt(places.setupMaxCpus), 4, BigInt(max));
    made.observer.hypercall(xenVcpuId(0), call('EVTCHNOP_init_control', 0));
    return made.events.flatMap((event) => {
      if (event.kind !== 'kernel' && event.kind !== 'limits') return [];
      const out = event.leftOut.map(({ vcpu, why }) => `${vcpu} by ${why}`);
      return [[`${event.kind} of ${event.possible.length}`, ...out].join(', ')];
    });
  }

  it('are told by its command line before it runs, and once more only where its memory says something else', () => {
    assert.deepEqual(told('', 4), ['kernel of 4']);
    assert.deepEqual(told('nr_cpus=3', 3), ['kernel of 4, 3 by nr_cpus=3', 'limits of 3, 3 by nr_cpus=3']);
    assert.deepEqual(told('maxcpus=3', 4, 3), ['kernel of 4, 3 by maxcpus=3']);
    assert.deepEqual(told('', 4, 3), ['kernel of 4', 'limits of 4, 3 by maxcpus=3']);
    assert.deepEqual(told('maxcpus=3', 4), ['kernel of 4, 3 by maxcpus=3', 'limits of 4']);
  });

  it('are explained by the command line that the kernel says it has, and else not excused', () => {
    assert.deepEqual(told('', 3, 256, 'quiet nr_cpus=3'), ['kernel of 4', 'limits of 3, 3 by nr_cpus=3']);
    assert.deepEqual(told('', 3), ['kernel of 4', 'limits of 3']);
  });
});
