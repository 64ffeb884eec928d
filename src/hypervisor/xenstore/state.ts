/** What xenstored knows: the tree, and the one connection that there is, which is the domain's own. */
import type { XenRelease } from '../release.js';

/** One entry of a node's permissions: what the domain of that id may do. The first entry's domain is the owner. */
export interface StorePermission {
  /** Unsigned 32-bit, as the guest gave it: not every number is a domain's. */
  readonly domid: number;
  readonly read: boolean;
  readonly write: boolean;
}

export interface StoreNodeContent {
  /** Any bytes; text by convention, without a nul. */
  readonly value: Uint8Array;
  /** The last parts of the children's paths, in the order in which they were made. */
  readonly children: readonly string[];
  /** At least the owner's. */
  readonly permissions: readonly StorePermission[];
}

/** A node is never changed in place: a change puts another in its stead. */
export interface StoreNode extends StoreNodeContent {
  /** How many changes the store had seen when this one was made to the node. */
  readonly generation: number;
}

/** A node that a transaction has looked at or changed, and has a copy of its own of. */
export interface StoreNodeCopy {
  /** Nodes are written back, and their watches fire, in this order. */
  readonly order: number;
  /** The generation of the store's node when it was copied; null when there was none. */
  readonly seen: number | null;
  /** The permissions of the store's node then. */
  readonly permissionsSeen: readonly StorePermission[] | null;
  /** The node as the transaction has it; null for none. */
  node: StoreNode | null;
  modified: boolean;
  /** Which watches are to fire on commit: those of the path itself, or those above it too. */
  fire: 'none' | 'exact' | 'above';
}

export interface StoreTransaction {
  readonly id: number;
  /** The store's generation when it began. */
  readonly generation: number;
  /** By path. */
  accessed: Record<string, StoreNodeCopy>;
  accesses: number;
  /** How many more nodes the guest will own after commit. */
  nodeDelta: number;
  createdNodes: boolean;
  /** It can no longer be committed. */
  failed: boolean;
}

export interface StoreWatch {
  readonly path: string;
  readonly token: string;
  /** The guest gave the path relative to its own, and is told of it so. */
  readonly relative: boolean;
}

/** A message on its way to the guest. */
export interface StoreMessage {
  /** Header and payload. */
  readonly bytes: Uint8Array;
  /** The request that is answered, or that caused the event; 0 for none. */
  readonly request: number;
  /** Under which it is known in `queuedEvents`; null for an answer. */
  readonly eventKey: string | null;
  /** System time in ns after which an event that was not begun is dropped; null for never. */
  readonly deadlineNs: bigint | null;
}

/** A request of which the answer, or an event that it caused, is still to be written. */
export interface StoreRequest {
  readonly request: number;
  messages: number;
}

export interface StoreConnection {
  /** The guest broke the protocol: nothing is read or written any more. */
  ignored: boolean;
  /** What has come in of the message that is being read. */
  input: Uint8Array;
  queue: StoreMessage[];
  /** How much of the first message of the queue was written. */
  written: number;
  /** The events in the queue, by path and token, none of which is queued twice. */
  queuedEvents: Record<string, true>;
  inFlight: StoreRequest[];
  /** Number of the last request. */
  lastRequest: number;
  watches: StoreWatch[];
  transactions: StoreTransaction[];
  nextTransactionId: number;
  /** Bytes that are accounted to the guest. */
  memory: number;
  /** How many nodes the guest owns. */
  nodes: number;
}

export interface XenstoreState {
  readonly domid: number;
  readonly release: XenRelease;
  /** XENSTORE_SERVER_FEATURE_* bits, which the page shows. Xen's C xenstored shows none, oxenstored does. */
  readonly features: number;
  /** Machine frame of the page that is shared with the guest. */
  readonly mfn: number;
  /** The guest's end of the event channel. */
  readonly port: number;
  /** By path; paths of special events, which start with an `@`, among them. */
  nodes: Record<string, StoreNode>;
  generation: number;
  connection: StoreConnection;
}
