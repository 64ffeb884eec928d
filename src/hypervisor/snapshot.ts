/** Domains as values: clone, compare, hash, to JSON and back. For domains whose memory is a SparseMemory. */
import { cloneValue, hashText, InputError, SparseMemory, valueFromJson, valueToJson } from '../base/index.js';
import { InvariantError } from '../base/index.js';
import type { SparseMemoryValue } from '../base/index.js';
import type { Domain, DomainState } from './domain.js';

function sparse({ memory }: Domain): SparseMemory {
  if (memory instanceof SparseMemory) return memory;
  throw new InvariantError('only a domain whose memory is a SparseMemory can be cloned, compared or saved');
}

/** A domain of equal state and contents. What is done to either leaves the other as it is. */
export function cloneDomain(domain: Domain): Domain {
  const { config, ...changing } = domain.state;
  return { state: { config, ...cloneValue(changing) }, memory: sparse(domain).clone() };
}

/** The whole domain as canonical JSON text: equal domains have equal texts. Frames of zeroes are left out. */
export function domainToJson(domain: Domain): string {
  return valueToJson({ state: domain.state, memory: sparse(domain).toValue() });
}

/** The domain that {@link domainToJson} wrote. Throws InputError when `text` is no such thing. */
export function domainFromJson(text: string): Domain {
  const value = valueFromJson(text);
  if (!isSavedDomain(value))
    throw new InputError('not a saved domain: it has no state, configuration or memory');
  return { state: value.state, memory: SparseMemory.fromValue(value.memory) };
}

interface SavedDomain {
  readonly state: DomainState;
  readonly memory: SparseMemoryValue;
}

function isSavedDomain(value: unknown): value is SavedDomain {
  if (!isRecord(value)) return false;
  const { state, memory } = value;
  if (!isRecord(state) || !isRecord(memory)) return false;
  return isRecord(state['config']) && Array.isArray(state['vcpus']) && Array.isArray(memory['ranges']);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** SHA-256 of the domain's JSON text, as 64 hex digits: the same for equal domains only. */
export function hashDomain(domain: Domain): string {
  return hashText(domainToJson(domain));
}

/** Whether two domains are the same in state and in every byte of memory. */
export function equalDomains(a: Domain, b: Domain): boolean {
  return domainToJson(a) === domainToJson(b);
}
