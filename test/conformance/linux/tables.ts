/** The tables of the cases, compiled by independent tools: device trees by dtc, MADTs by iasl. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { acpi_madt_entry, writeMadt } from '../../../src/abi/index.js';
import type { MadtEntry } from '../../../src/abi/index.js';

/** The variable parts of a tree: the source text of its CPU nodes, and deviations from the defaults. */
export interface TreeSource {
  readonly cpus: string;
  readonly addressCells?: number;
  readonly cpusNode?: string;
  readonly psci?: string;
}

const usualPsci = 'compatible = "arm,psci-1.0", "arm,psci-0.2"; method = "hvc";';

/** The properties that the boot loader adds to /chosen. Addresses are below 4 GiB. */
export interface Chosen {
  readonly commandLine: string;
  readonly initrd: { readonly start: number; readonly end: number };
}

/** A tree of QEMU's virt board (hw/arm/virt.c) with all that Linux needs to boot. */
function treeSource(source: TreeSource, { commandLine, initrd }: Chosen): string {
  const { cpus, addressCells = 1, cpusNode = 'cpus', psci = usualPsci } = source;
  return `/dts-v1/;
/ {
  #address-cells = <2>;
  #size-cells = <2>;
  compatible = "linux,dummy-virt";
  interrupt-parent = <&gic>;
  chosen {
    stdout-path = "/pl011@9000000";
    bootargs = "${commandLine}";
    linux,initrd-start = <${initrd.start}>;
    linux,initrd-end = <${initrd.end}>;
  };
  psci { ${psci} };
  ${cpusNode} {
    #address-cells = <${addressCells}>;
    #size-cells = <0>;
    ${cpus}
  };
  memory@40000000 { device_type = "memory"; reg = <0 0x40000000 0 0x18000000>; };
  clock: apb-pclk { compatible = "fixed-clock"; #clock-cells = <0>; clock-frequency = <24000000>; };
  gic: intc@8000000 {
    compatible = "arm,gic-v3";
    #interrupt-cells = <3>;
    interrupt-controller;
    reg = <0 0x8000000 0 0x10000 0 0x80a0000 0 0xf60000>;
  };
  timer { compatible = "arm,armv8-timer"; interrupts = <1 13 4 1 14 4 1 11 4 1 10 4>; };
  pl011@9000000 {
    compatible = "arm,pl011", "arm,primecell";
    reg = <0 0x9000000 0 0x1000>;
    interrupts = <0 1 4>;
    clocks = <&clock>, <&clock>;
    clock-names = "uartclk", "apb_pclk";
  };
};
`;
}

/** The tree compiled by dtc. */
export function compiledTree(source: TreeSource, chosen: Chosen): Uint8Array {
  const { status, stdout, stderr } = spawnSync('dtc', ['-q', '-q', '-f', '-I', 'dts', '-O', 'dtb', '-'], {
    input: treeSource(source, chosen),
  });
  assert.equal(status, 0, stderr.toString());
  return stdout;
}

function other(type: number, ...bytes: number[]): MadtEntry {
  return { kind: 'other', type, tail: Uint8Array.from(bytes) };
}

function word(value: number): number[] {
  return [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
}

/** The interrupt controllers of QEMU's virt board: the distributor (type 12) and the redistributors (type 14). */
const armControllers: readonly MadtEntry[] = [
  other(12, 0, 0, ...word(0), ...word(0x800_0000), ...word(0), ...word(0), 3, 0, 0, 0),
  other(14, 0, 0, ...word(0x80a_0000), ...word(0), ...word(0xf6_0000)),
];
/**
 * The interrupt controllers of QEMU's PC: the I/O APIC (type 1), and the override of the timer's interrupt (type 2).
 */
const x86Controllers: readonly MadtEntry[] = [
  other(1, 0, 0, ...word(0xfec0_0000), ...word(0)),
  other(2, 0, 0, ...word(2), 0, 0),
];

/**
 * The MADT with these entries and the board's controllers, compiled by iasl. It has the same names as QEMU's own table
 * and a later revision, so Linux uses it in place of that one.
 */
export function compiledMadt(cpus: readonly MadtEntry[], folder: string): Uint8Array {
  const arm = cpus.some(({ kind }) => kind === 'gicc');
  const table = writeMadt({
    oem_id: 'BOCHS ',
    oem_table_id: 'BXPC    ',
    oem_revision: 0x7fff_ffff,
    local_apic_address: arm ? 0 : 0xfee0_0000,
    flags: arm ? 0 : 1,
    revision: arm ? 4 : 3,
    entries: [...cpus, ...(arm ? armControllers : x86Controllers)],
  });
  assert.ok(table.length > acpi_madt_entry.size);
  writeFileSync(join(folder, 'APIC.dat'), table);
  for (const args of [['-d', 'APIC.dat'], ['APIC.dsl']]) {
    const { status, stdout } = spawnSync('iasl', args, { cwd: folder, encoding: 'utf8' });
    assert.equal(status, 0, stdout);
  }
  return readFileSync(join(folder, 'APIC.aml'));
}
