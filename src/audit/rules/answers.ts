/** The rule that checks the hypervisor: its answers must follow from what was registered before. */
import { XEN_EFAULT, XEN_ENOSPC } from '../../abi/index.js';
import { answersTo, answersToStart } from '../expected_answers.js';
import type { Answers } from '../expected_answers.js';
import { replay } from '../domain_view.js';
import type { Finding, Rule } from '../finding.js';
import { answerName, findingAt, findingOfCall } from './report.js';

function isRight(answers: Answers, returned: number): boolean {
  return answers === null || answers.includes(returned);
}

/** Answers that depend on the guest's memory or on Xen's. They are always possible, so messages do not list them. */
const always: readonly number[] = [-XEN_EFAULT, -XEN_ENOSPC];

function listOf(answers: Answers, name: (answer: number) => string): string {
  return (answers ?? [])
    .filter((answer) => !always.includes(answer))
    .map(name)
    .join(' or ');
}

export const answerAsXen: Rule = {
  name: 'answer-as-xen',
  reason:
    'When a call names a vCPU, Xen’s answer follows from what that vCPU has registered and Xen’s order of checks.',
  source: 'Xen 4.17 and 4.18: common/domain.c, common/event_channel.c, common/event_fifo.c, arch/*/domain.c',
  check(run) {
    const findings: Finding[] = [];
    replay(run, (event, view) => {
      if (event.kind === 'hypercall') {
        const answers = answersTo(view, event);
        if (isRight(answers, event.call.returned)) return;
        const { op, vcpuId, returned } = event.call;
        const why = `${op} of vCPU ${vcpuId ?? '-'} is answered ${answerName(returned)}; Xen ${run.platform.release} answers ${listOf(answers, answerName)}`;
        findings.push(findingOfCall(event, 'answer-as-xen', why));
      } else if (event.kind === 'start') {
        const answers = answersToStart(view, event);
        if (isRight(answers, event.returned)) return;
        const why = `CPU_ON of vCPU ${event.target ?? '-'} is answered ${event.returned}; Xen answers ${listOf(answers, String)}`;
        const place = {
          op: 'CPU_ON',
          linuxCpu: event.linuxCpu,
          callingVcpu: event.by,
          returned: event.returned,
        };
        findings.push(findingAt(event, 'answer-as-xen', why, place));
      }
    });
    return findings;
  },
};
