/**
 * What the vCPUs of an amd64 guest stand at when it has come to no end: a triple fault, what the emulated CPU does not implement, a
 * vCPU that halted with interrupts off. Each statement is true of the vCPU's present state.
 */
import type { XenVcpuId } from '../../identity/index.js';
import type { X86Machine } from '../../machine/x86_64/index.js';
import { addressText, clausesOf } from '../hung_guest.js';
import type { HungGuest, LoadedKernel } from '../hung_guest.js';

/** Maximum number of things that one line names. */
const mostNamed = 4;

/** What the guest asked for that is not implemented, the most frequent first; null if there is nothing. */
function unimplementedWords({ board }: X86Machine): string | null {
  const asked = [...board.unimplemented].sort(([, a], [, b]) => b - a);
  if (asked.length === 0) return null;
  const named = asked
    .slice(0, mostNamed)
    .map(([what, count]) => `${what} (${count === 1 ? 'once' : `${count} times`})`);
  const more = asked.length > mostNamed ? ` and ${asked.length - mostNamed} more` : '';
  return `it asked for what is not implemented: ${named.join(', ')}${more}`;
}

/** The exceptions that may name the cause, by vector (Intel SDM, volume 3, table 6-1). */
const exceptionNames: Readonly<Record<number, string>> = {
  0: '#DE',
  6: '#UD',
  7: '#NM',
  8: '#DF',
  13: '#GP',
  14: '#PF',
};

/** The exception that the vCPU has not returned from, as a predicate; null if there is none. */
function exceptionOf(machine: X86Machine, vcpu: XenVcpuId, kernel: LoadedKernel): string | null {
  const open = machine.board.diagnose(vcpu)?.open ?? null;
  if (open === null) return null;
  const { vector, address, pc, text } = open;
  const name = exceptionNames[vector] ?? `exception ${vector}`;
  const what = text === null ? 'an instruction' : `"${text}"`;
  const where = address === null ? '' : ` accessing 0x${address.toString(16)}`;
  return `took ${name} by ${what}${where} at ${addressText(kernel, pc)}, and has not returned from it`;
}

/** What a vCPU that is up stands at, as a predicate; null for one that waits for an interrupt or an event. */
function predicateOf(machine: X86Machine, vcpu: XenVcpuId, kernel: LoadedKernel): string | null {
  const exception = exceptionOf(machine, vcpu, kernel);
  if (exception !== null) return exception;
  const state = machine.domain.state.vcpus[vcpu];
  const view = machine.processor.vcpus[vcpu];
  if (state === undefined || view === undefined || !state.up || state.blocked !== null) return null;
  const where = addressText(kernel, view.pc);
  if (view.privilege === 3) return null;
  return view.interruptsEnabled ? `is in the kernel at ${where}` : `is at ${where} with interrupts off`;
}

/** What the vCPUs of a guest that came to no end stand at. */
export function hungX86Guest(machine: X86Machine, kernel: LoadedKernel): HungGuest {
  const { tripleFault } = machine.board;
  const said = machine.vcpus.flatMap((vcpu) => {
    const text = predicateOf(machine, vcpu, kernel);
    return text === null ? [] : [{ vcpu, text }];
  });
  const unimplemented = unimplementedWords(machine);
  return {
    clauses: [
      ...(tripleFault === null
        ? []
        : [`vCPU ${tripleFault.vcpu} had a triple fault at ${addressText(kernel, tripleFault.pc)}`]),
      ...clausesOf(said),
      ...(unimplemented === null ? [] : [unimplemented]),
    ],
    refused: null,
  };
}
