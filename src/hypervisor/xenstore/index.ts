/**
 * xenstore: the store by which a guest, the toolstack and device backends find each other, as Xen's C xenstored keeps
 * it for one guest. The guest accesses it through a page and an event channel, the toolstack through function calls. It does not
 * support other guests, sockets or live updates, and does not limit how often a guest may write.
 */
export {
  fireStoreEvent,
  introduce,
  newStore,
  serveStore,
  storeList,
  storeRead,
  storeRemove,
  storeSetPermissions,
  storeWrite,
} from './daemon.js';
export { writeDomainTree } from './domain_tree.js';
export type { TreeFacts } from './domain_tree.js';
export type { StorePermission, XenstoreState } from './state.js';
