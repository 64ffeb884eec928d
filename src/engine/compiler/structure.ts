/**
 * Turns a graph of blocks into what structured control flow needs (N. Ramsey, "Beyond Relooper", ICFP 2022): each node's children in
 * the dominator tree, and which nodes are loops or places where branches meet. Edges into the middle of a loop go through the root.
 */
import { present } from '../../base/index.js';

/** The number of the root, which leads to the nodes that are entered from outside. */
export const root = -1;

export interface Structure {
  /** The nodes to which the root leads, ascending: the entries, and the targets of branches into the middle of a loop. */
  readonly fromRoot: readonly number[];
  /** Whether some branch goes through the root. */
  readonly rootIsLoop: boolean;
  /** Whether a branch from a node to another goes through the root. */
  readonly throughRoot: (from: number, to: number) => boolean;
  /** Whether a branch goes back to a node that encloses it. */
  readonly isBack: (from: number, to: number) => boolean;
  /** Whether a node is the head of a loop. */
  readonly isLoop: (node: number) => boolean;
  /** Whether branches meet at a node, so that it stands behind what they come from, and not within it. */
  readonly isMerge: (node: number) => boolean;
  /** The children of a node, or of the root, in the dominator tree at which branches meet, the last one in reverse postorder first. */
  readonly merges: (node: number) => readonly number[];
}

type Edges = (node: number) => readonly number[];

/** `edges` gives the successors of a node. All nodes must be reached from the entries. */
export function structure(nodes: number, entries: readonly number[], edges: Edges): Structure {
  const fromRoot = new Set(entries);
  for (;;) {
    const tree = new Dominators(nodes, [...fromRoot].sort(ascending), edges);
    const strays = tree.strays();
    const fresh = strays.filter(({ to }) => !fromRoot.has(to));
    if (fresh.length === 0) return describe(tree, [...fromRoot].sort(ascending), strays);
    for (const { to } of fresh) fromRoot.add(to);
  }
}

const ascending = (a: number, b: number): number => a - b;

interface Edge {
  readonly from: number;
  readonly to: number;
}

/** Dominators by the algorithm of Cooper, Harvey and Kennedy. Positions are those in reverse postorder; the root has 0. */
class Dominators {
  readonly position = new Map<number, number>();
  readonly #order: readonly number[];
  /** By position: the position of the immediate dominator. */
  readonly #above: number[] = [0];
  readonly edges: readonly Edge[];
  readonly #into: ReadonlyMap<number, readonly number[]>;

  constructor(nodes: number, fromRoot: readonly number[], successors: Edges) {
    const of: Edges = (node) => (node === root ? fromRoot : successors(node));
    this.#order = reversePostorder(nodes, of);
    for (const [index, node] of this.#order.entries()) this.position.set(node, index);
    this.edges = this.#order.flatMap((from) => of(from).map((to) => ({ from, to })));
    const into = new Map<number, number[]>();
    for (const { from, to } of this.edges) into.set(to, [...(into.get(to) ?? []), this.at(from)]);
    this.#into = into;
    this.#work();
  }

  at(node: number): number {
    return present(this.position.get(node), 'a node that is reached');
  }

  #work(): void {
    for (let changed = true; changed;) {
      changed = false;
      for (const [index, node] of this.#order.entries()) {
        if (index === 0) continue;
        const done = (this.#into.get(node) ?? []).filter((from) => this.#above[from] !== undefined);
        const above = done.reduce((a, b) => this.#meet(a, b));
        changed ||= this.#above[index] !== above;
        this.#above[index] = above;
      }
    }
  }

  #meet(first: number, second: number): number {
    let [a, b] = [first, second];
    while (a !== b) {
      if (a > b) a = this.#above[a] ?? 0;
      else b = this.#above[b] ?? 0;
    }
    return a;
  }

  dominates(above: number, node: number): boolean {
    const wanted = this.at(above);
    let at = this.at(node);
    while (at > wanted) at = this.#above[at] ?? 0;
    return at === wanted;
  }

  parent(node: number): number {
    return present(this.#order[this.#above[this.at(node)] ?? 0], 'a dominator');
  }

  isRetreating({ from, to }: Edge): boolean {
    return this.at(to) <= this.at(from);
  }

  /** The edges that go back to a node that does not enclose them. */
  strays(): Edge[] {
    return this.edges.filter((edge) => this.isRetreating(edge) && !this.dominates(edge.to, edge.from));
  }
}

function reversePostorder(nodes: number, successors: Edges): number[] {
  const seen = new Uint8Array(nodes + 1);
  const order: number[] = [];
  const stack: { readonly node: number; readonly left: number[] }[] = [];
  const open = (node: number): void => {
    seen[node + 1] = 1;
    stack.push({ node, left: [...successors(node)] });
  };
  open(root);
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    // The last one first: then the first successor follows its node in the result, as it does in memory.
    const next = top.left.pop();
    if (next === undefined) {
      order.push(top.node);
      stack.pop();
    } else if (seen[next + 1] === 0) {
      open(next);
    }
  }
  return order.reverse();
}

function describe(tree: Dominators, fromRoot: readonly number[], strays: readonly Edge[]): Structure {
  const key = ({ from, to }: Edge): string => `${from} ${to}`;
  const stray = new Set(strays.map(key));
  const forward = new Map<number, number>();
  const loops = new Set<number>();
  for (const edge of tree.edges) {
    if (stray.has(key(edge))) continue;
    if (tree.isRetreating(edge)) loops.add(edge.to);
    else forward.set(edge.to, (forward.get(edge.to) ?? 0) + 1);
  }
  // The root finds its nodes by a table, so each of them needs a place to branch to.
  const tabled = new Set(fromRoot.length > 1 || stray.size > 0 ? fromRoot : []);
  const isMerge = (node: number): boolean => tabled.has(node) || (forward.get(node) ?? 0) > 1;
  const merges = new Map<number, number[]>();
  for (const node of tree.position.keys()) {
    if (node === root || !isMerge(node)) continue;
    const parent = tree.parent(node);
    merges.set(parent, [...(merges.get(parent) ?? []), node]);
  }
  for (const children of merges.values()) children.sort((a, b) => tree.at(b) - tree.at(a));
  return {
    fromRoot,
    rootIsLoop: stray.size > 0,
    throughRoot: (from, to) => stray.has(key({ from, to })),
    isBack: (from, to) => tree.isRetreating({ from, to }),
    isLoop: (node) => loops.has(node),
    isMerge,
    merges: (node) => merges.get(node) ?? [],
  };
}
