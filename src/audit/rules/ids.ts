/** Rules over single calls: the id must name a vCPU, and the one that was meant. */
import type { JudgedCall, Rule } from '../finding.js';
import { judgeCalls } from '../judge.js';
import { intentionOf } from '../operations.js';
import { findingOfJudged, idName } from './report.js';

export const idExists: Rule = {
  name: 'id-exists',
  reason: 'Every vCPU id in a call names a vCPU of the domain; only a query may use an id past the last.',
  source: 'Xen 4.17 include/xen/sched.h, domain_vcpu: ids are 0 to max_vcpus - 1, anything else is no vCPU',
  check(run) {
    const count = run.platform.hardwareIds.length;
    return judgeCalls(run)
      .filter(({ event, passed }) => {
        return passed >= count && intentionOf(run.platform.kind, event.call.op) !== 'question';
      })
      .map((call) => {
        const why = `${call.event.call.op} names vCPU ${idName(call.passed)}; there are vCPUs 0 to ${count - 1}`;
        return findingOfJudged(call, 'id-exists', why);
      });
  },
};

function whyNotMeant({ event, passed, meant, verdict }: JudgedCall): string {
  const by = `vCPU ${event.vcpu} calls ${event.call.op} with id ${idName(passed)}`;
  const right = meant === null ? 'no id is right here' : `it means vCPU ${meant}`;
  const outcome = verdict === 'silent' ? '; Xen accepts it silently' : '';
  return `${by}, but ${right}${outcome}`;
}

export const idIsMeant: Rule = {
  name: 'id-is-meant',
  reason: 'An id that names a vCPU other than the intended one is wrong, even if Xen answers 0.',
  source: 'Linux 88e957d6e47f (xen_vcpu_id) and public/vcpu.h: most operations take any vCPU of the domain',
  check(run) {
    return judgeCalls(run)
      .filter(({ verdict }) => verdict === 'refused' || verdict === 'silent')
      .map((call) => findingOfJudged(call, 'id-is-meant', whyNotMeant(call)));
  },
};
