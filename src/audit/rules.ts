/** All rules, in the order in which they are reported: calls, answers, records, registrations, CPUs, events. */
import type { Rule } from './finding.js';
import { answerAsXen } from './rules/answers.js';
import { allVcpusUp, cpuIsItsHardware, runsOnlyWhenStarted, startNamesItsCpu } from './rules/cpus.js';
import { eventIsHeard, eventReachesItsCpu, upcallReachesItsVcpu } from './rules/events.js';
import { idExists, idIsMeant } from './rules/ids.js';
import { recordSetBeforeUse, recordsDistinct, recordTrue } from './rules/records.js';
import {
  noSecondRegistration,
  refusalHasConsequence,
  registeredBeforeOnline,
  resetBeforeReuse,
} from './rules/registrations.js';

export const rules: readonly Rule[] = [
  idExists,
  idIsMeant,
  answerAsXen,
  recordSetBeforeUse,
  recordTrue,
  recordsDistinct,
  resetBeforeReuse,
  noSecondRegistration,
  registeredBeforeOnline,
  refusalHasConsequence,
  startNamesItsCpu,
  runsOnlyWhenStarted,
  cpuIsItsHardware,
  eventReachesItsCpu,
  upcallReachesItsVcpu,
  eventIsHeard,
  allVcpusUp,
];
