/**
 * Interrupts of emulated devices that a PVHVM guest takes as events (XENFEAT_hvm_pirqs): the map between its pirqs and the interrupts
 * of its I/O APIC, which Xen calls GSIs (Xen 4.17 arch/x86/irq.c, map_domain_emuirq_pirq; arch/x86/hvm/irq.c, assert_gsi). Other
 * kinds of guests have none.
 */
import { MAP_PIRQ_TYPE_GSI, XEN_EINVAL, XEN_ENOSPC } from '../abi/index.js';
import { archOf } from './arch.js';
import type { Domain } from './domain.js';
import { notify } from './event_channels/pending.js';

/** Inputs of the I/O APIC of a guest (Xen 4.17 arch/x86/hvm/vioapic.c, VIOAPIC_NUM_PINS). */
export const domainGsis = 48;
/** Inputs of the host's I/O APICs: one with 24 pins is assumed (nr_irqs_gsi). */
const hostGsis = 24;
/** Interrupts below are those of the PICs, which are taken to be edge-triggered (NR_ISAIRQS). */
const isaInterrupts = 16;

/**
 * How many pirqs a domU has: the host's own interrupts and 32 more on x86; NR_IRQS on Arm (Xen 4.17 common/domain.c, domain_create;
 * nr_static_irqs).
 */
const counts = { x86_64: hostGsis + 32, arm64: 1024 } as const;

export function pirqCount(domain: Domain): number {
  return counts[archOf(domain)];
}

/** Whether the domain has pirqs for its emulated devices (has_pirq). */
export function hasPirqs({ state }: Domain): boolean {
  return state.config.kind === 'pvhvm';
}

/** The interrupt that a pirq stands for; null for none. */
export function gsiOfPirq({ state }: Domain, pirq: number): number | null {
  return state.pirqs[pirq] ?? null;
}

function pirqOfGsi({ state }: Domain, gsi: number): number | null {
  const found = Object.entries(state.pirqs).find(([, mapped]) => mapped === gsi);
  return found === undefined ? null : Number(found[0]);
}

/** The port to which a pirq is bound; null for none. */
export function portOfPirq({ state }: Domain, pirq: number): number | null {
  const port = state.events.channels.findIndex(
    ({ binding }) => binding.kind === 'pirq' && binding.pirq === pirq,
  );
  return port < 0 ? null : port;
}

/** A pirq that stands for nothing, of a type of MAP_PIRQ_TYPE_*; -XEN_ENOSPC if there is none (get_free_pirq). */
export function freePirq(domain: Domain, type: number): number {
  const reserved = domain.state.reservedPirqs;
  const isFree = (pirq: number): boolean => gsiOfPirq(domain, pirq) === null && !reserved.includes(pirq);
  if (type === MAP_PIRQ_TYPE_GSI) {
    for (let pirq = isaInterrupts; pirq < hostGsis; pirq += 1) if (isFree(pirq)) return pirq;
  }
  for (let pirq = pirqCount(domain) - 1; pirq >= hostGsis; pirq -= 1) if (isFree(pirq)) return pirq;
  return -XEN_ENOSPC;
}

/** A free pirq is set aside for the guest. */
export function reservePirq(domain: Domain, pirq: number): void {
  domain.state.reservedPirqs = [...domain.state.reservedPirqs, pirq];
}

/** 0, or -XEN_EINVAL. Where either stands for another one already, nothing changes, and the answer is 0 too. */
export function mapPirq(domain: Domain, pirq: number, gsi: number): number {
  if (pirq < 0 || pirq >= pirqCount(domain)) return -XEN_EINVAL;
  const [mappedGsi, mappedPirq] = [gsiOfPirq(domain, pirq), pirqOfGsi(domain, gsi)];
  const isTaken = (mappedGsi !== null && mappedGsi !== gsi) || (mappedPirq !== null && mappedPirq !== pirq);
  if (!isTaken) domain.state.pirqs = { ...domain.state.pirqs, [pirq]: gsi };
  return 0;
}

/** The pirq stands for no interrupt any more. */
export function unmapPirq({ state }: Domain, pirq: number): void {
  state.pirqs = Object.fromEntries(Object.entries(state.pirqs).filter(([key]) => key !== `${pirq}`));
}

/** The port at which the guest takes that interrupt; null if it takes it from the I/O APIC (hvm_domain_use_pirq). */
function portOfGsi(domain: Domain, gsi: number): number | null {
  const pirq = pirqOfGsi(domain, gsi);
  return pirq === null ? null : portOfPirq(domain, pirq);
}

/** Whether the guest takes that interrupt as an event, in place of the I/O APIC's. */
export function isGsiEvent(domain: Domain, gsi: number): boolean {
  return portOfGsi(domain, gsi) !== null;
}

/**
 * A device asserts an interrupt that was not asserted. True if the guest gets it as an event; else it is the I/O APIC's.
 */
export function assertGsi(domain: Domain, gsi: number): boolean {
  if (!hasPirqs(domain)) return false;
  domain.state.assertedGsis = [...new Set([...domain.state.assertedGsis, gsi])];
  const port = portOfGsi(domain, gsi);
  if (port !== null) notify(domain, port);
  return port !== null;
}

/** No device asserts that interrupt any more. */
export function deassertGsi({ state }: Domain, gsi: number): void {
  if (state.assertedGsis.includes(gsi))
    state.assertedGsis = state.assertedGsis.filter((asserted) => asserted !== gsi);
}

/** The guest has served a pirq: one that is level-triggered and still asserted comes again. */
export function endOfPirq(domain: Domain, pirq: number): void {
  const [gsi, port] = [gsiOfPirq(domain, pirq), portOfPirq(domain, pirq)];
  const isAsserted = gsi !== null && domain.state.assertedGsis.includes(gsi);
  if (gsi !== null && gsi >= isaInterrupts && isAsserted && port !== null) notify(domain, port);
}
