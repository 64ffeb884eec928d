/** What a device tree says about CPUs: the nodes of `/cpus`, as an arm64 Linux reads them. */
import { cellsOf, deviceTreeProperty, stringsOf } from '../abi/index.js';
import type { DeviceTree, DeviceTreeNode } from '../abi/index.js';
import { pureAffinity } from './firmware.js';
import type { ArmCpuEntry, EnableMethod } from './firmware.js';
import { linuxHas } from './linux_versions.js';

function textOf(node: DeviceTreeNode, name: string): string | null {
  const value = deviceTreeProperty(node, name);
  return value === undefined ? null : (stringsOf(value)[0] ?? '');
}

/** Linux recognises a CPU among the children of /cpus by its name or its device_type (of_get_next_cpu_node). */
function isCpuNode(node: DeviceTreeNode): boolean {
  return node.name.split('@', 1)[0] === 'cpu' || textOf(node, 'device_type') === 'cpu';
}

function hasFailed(node: DeviceTreeNode): boolean {
  const status = textOf(node, 'status') ?? '';
  return status === 'fail' || status.startsWith('fail-');
}

/** How many cells a CPU's `reg` has, by /cpus, else by the root, else 1 (Linux: of_n_addr_cells). */
function cpuAddressCells(tree: DeviceTree, cpus: DeviceTreeNode): number {
  for (const node of [cpus, tree.root]) {
    const value = deviceTreeProperty(node, '#address-cells');
    const words = value === undefined ? [] : cellsOf(value);
    if (words[0] !== undefined) return words[0];
  }
  return 1;
}

/** The numbers in a node's `reg`: one, or one for each of its threads. None if a number has no cells or too many. */
function regsOf(node: DeviceTreeNode, addressCells: number): bigint[] {
  if (addressCells < 1 || addressCells > 2) return [];
  const words = cellsOf(deviceTreeProperty(node, 'reg') ?? new Uint8Array());
  return Array.from({ length: Math.floor(words.length / addressCells) }, (_, i) =>
    words
      .slice(i * addressCells, (i + 1) * addressCells)
      .reduce((value, word) => (value << 32n) | BigInt(word), 0n),
  );
}

/** All nodes, each before its children, as Linux walks them. */
function* nodesIn(node: DeviceTreeNode): Generator<DeviceTreeNode> {
  yield node;
  for (const child of node.children) yield* nodesIn(child);
}

const psciVersions = ['arm,psci', 'arm,psci-0.2', 'arm,psci-1.0'];

/** Whether the tree tells Linux how to call PSCI's CPU_ON (drivers/firmware/psci/psci.c, psci_dt_init). */
function canCallPsci({ root }: DeviceTree): boolean {
  for (const node of nodesIn(root)) {
    const compatible = stringsOf(deviceTreeProperty(node, 'compatible') ?? new Uint8Array());
    const version = compatible.find((name) => psciVersions.includes(name));
    if (version === undefined) continue;
    const isAvailable = ['okay', 'ok', null].includes(textOf(node, 'status'));
    const hasMethod = ['hvc', 'smc'].includes(textOf(node, 'method') ?? '');
    // PSCI 0.1 had no fixed function numbers.
    const hasNumber = version !== 'arm,psci' || (deviceTreeProperty(node, 'cpu_on')?.length ?? 0) >= 4;
    return isAvailable && hasMethod && hasNumber;
  }
  return false;
}

function spinTable(node: DeviceTreeNode): EnableMethod {
  const [high, low] = cellsOf(deviceTreeProperty(node, 'cpu-release-addr') ?? new Uint8Array());
  if (high === undefined || low === undefined) return 'no address';
  return high === 0 && low === 0 ? 'not ready' : 'usable';
}

function enableMethodOf(node: DeviceTreeNode | undefined, hasPsci: boolean): EnableMethod {
  const method = node === undefined ? null : textOf(node, 'enable-method');
  if (node === undefined || method === null) return 'missing';
  if (method === 'psci') return hasPsci ? 'usable' : 'not ready';
  return method === 'spin-table' ? spinTable(node) : 'unknown';
}

/**
 * The CPUs of a device tree's `/cpus`, in the order of the tree. A `reg` contains only the CPU's affinity
 * (Linux Documentation/devicetree/bindings/arm/cpus.yaml). Linux 5.17 and later leave out nodes whose status begins with `fail`.
 * `disabled` nodes are included, because Linux counts them too. `version` is the kernel's own version text; null stands
 * for Linux 6.1.
 */
export function armCpusOfDeviceTree(tree: DeviceTree, version: string | null = null): ArmCpuEntry[] {
  const cpus = tree.root.children.find(({ name }) => name === 'cpus');
  if (cpus === undefined) return [];
  const addressCells = cpuAddressCells(tree, cpus);
  const skipsFailed = linuxHas(version, 'failed-nodes-skipped');
  const hasPsci = canCallPsci(tree);
  const nodes = cpus.children
    .filter((node) => isCpuNode(node) && !(skipsFailed && hasFailed(node)))
    .map((node) => ({ node, regs: regsOf(node, addressCells) }));
  return nodes.map(({ regs: [reg = null] }) => {
    // Linux looks the node up by the id, so it uses the first node that has the id (of_get_cpu_node).
    const asked = nodes.find(({ regs }) => reg !== null && regs.includes(reg))?.node;
    const enableMethod = enableMethodOf(asked, hasPsci);
    const affinity = reg === null ? null : pureAffinity(reg);
    return { mpidr: affinity, acpiUid: null, enabled: true, onlineCapable: false, enableMethod };
  });
}
