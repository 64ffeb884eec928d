/** Beginning, committing and dropping transactions (Xen 4.17 tools/xenstore/xenstored_transaction.c). */
import type { XsdError } from '../../abi/index.js';
import { putInStore } from './nodes.js';
import { copyMemory, maxNodes, maxTransactions } from './quota.js';
import type { StoreNodeCopy, StoreConnection, StoreTransaction, XenstoreState } from './state.js';
import { fireWatches } from './watches.js';
import type { Cause } from './watches.js';

/** The guest's transaction with that id; null if there is none. */
export function findTransaction({ transactions }: StoreConnection, id: number): StoreTransaction | null {
  return transactions.find((transaction) => transaction.id === id) ?? null;
}

/** A new transaction, or -ENOSPC if there are too many. */
export function startTransaction(store: XenstoreState): StoreTransaction | XsdError {
  const { connection } = store;
  if (connection.transactions.length > maxTransactions) return 'ENOSPC';
  store.generation += 1;
  const transaction: StoreTransaction = {
    id: freeId(connection),
    generation: store.generation,
    accessed: {},
    accesses: 0,
    nodeDelta: 0,
    createdNodes: false,
    failed: false,
  };
  connection.transactions.push(transaction);
  return transaction;
}

/** Ids count up and wrap at 2^32; 0 means no transaction. */
function freeId(connection: StoreConnection): number {
  let id = connection.nextTransactionId;
  while (id === 0 || findTransaction(connection, id) !== null) id = (id + 1) >>> 0;
  connection.nextTransactionId = (id + 1) >>> 0;
  return id;
}

/** Ends the transaction and drops its copies. */
export function dropTransaction(store: XenstoreState, transaction: StoreTransaction): void {
  const { connection } = store;
  for (const [path, { node }] of Object.entries(transaction.accessed)) {
    connection.memory -= copyMemory(store, transaction, path, node);
  }
  connection.transactions = connection.transactions.filter((other) => other !== transaction);
}

export function dropAllTransactions(store: XenstoreState): void {
  for (const transaction of store.connection.transactions) dropTransaction(store, transaction);
}

/**
 * Commits the transaction, and ends it in any case. Errors in this order: -ENOMEM if it failed before,
 * -ENOSPC if the guest would own too many nodes, -EAGAIN if a node that it read has been changed, created or
 * removed since. After an error, nothing is changed.
 */
export function commitTransaction(cause: Cause, transaction: StoreTransaction): XsdError | null {
  const { store } = cause;
  const refused = commitError(store, transaction);
  if (refused === null) carryOut({ ...cause, transaction: null }, transaction);
  dropTransaction(store, transaction);
  return refused;
}

function commitError(store: XenstoreState, transaction: StoreTransaction): XsdError | null {
  if (transaction.failed) return 'ENOMEM';
  const nodes = Math.max(store.connection.nodes + transaction.nodeDelta, 0);
  if (transaction.createdNodes && nodes >= maxNodes) return 'ENOSPC';
  const changed = Object.entries(transaction.accessed).some(
    ([path, { seen }]) => (store.nodes[path]?.generation ?? null) !== seen,
  );
  return changed ? 'EAGAIN' : null;
}

/** Each node is written before its watches fire, so that its new permissions decide who is told. */
function carryOut(cause: Cause, transaction: StoreTransaction): void {
  const { store } = cause;
  for (const [path, accessed] of inOrder(transaction)) {
    if (!accessed.modified) continue;
    writeBack(store, path, accessed);
    if (accessed.fire === 'none') continue;
    const exact = accessed.fire === 'exact';
    fireWatches(cause, { path, node: null, exact, permissionsBefore: accessed.permissionsSeen });
  }
  store.connection.nodes += transaction.nodeDelta;
}

function inOrder({ accessed }: StoreTransaction): [string, StoreNodeCopy][] {
  return Object.entries(accessed).sort(([, a], [, b]) => a.order - b.order);
}

function writeBack(store: XenstoreState, path: string, { node }: StoreNodeCopy): void {
  store.generation += 1;
  putInStore(store, path, node === null ? null : { ...node, generation: store.generation });
}
