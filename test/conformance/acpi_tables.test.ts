/**
 * Gives the ACPI tables of src/firmware/x86_64 to ACPICA's tools (Debian: acpica-tools): iasl disassembles each and compiles the
 * DSDT again, and acpiexec runs the DSDT's methods.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import * as x86_64 from '../../src/firmware/x86_64/index.js';

const missing =
  spawnSync('iasl', ['-v'], { stdio: 'ignore' }).status === 0 &&
  spawnSync('acpiexec', ['-v'], { stdio: 'ignore' }).error === undefined
    ? false
    : 'no iasl or acpiexec (acpica-tools)';

let directory = '';
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'domulator-acpi-'));
});
after(() => {
  rmSync(directory, { recursive: true, force: true });
});

function run(tool: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(tool, args, { cwd: directory, encoding: 'utf8' });
  assert.equal(status, 0, `${tool} ${args.join(' ')}\n${stdout}${stderr}`);
  return `${stdout}${stderr}`;
}

/** The tables of a guest with four vCPUs that have a signature and a length, by signature; of two, the second. */
function tables(): Map<string, Uint8Array> {
  const { modules } = x86_64.acpiTables([0, 2, 4, 6]);
  const memory = modules.find(({ bytes }) => bytes.length > 0x1000)?.bytes ?? new Uint8Array();
  const found = new Map<string, Uint8Array>();
  const view = new DataView(memory.buffer, memory.byteOffset);
  for (let at = 0; at + 8 <= memory.length; at += 16) {
    const signature = String.fromCharCode(...memory.subarray(at, at + 4));
    const length = view.getUint32(at + 4, true);
    if (/^(FACS|DSDT|FACP|APIC|XSDT|RSDT)$/.test(signature))
      found.set(signature, memory.subarray(at, at + length));
  }
  return found;
}

test('iasl reads every table, and finds nothing wrong', { skip: missing }, () => {
  const all = tables();
  assert.deepEqual([...all.keys()], ['FACS', 'DSDT', 'FACP', 'APIC', 'XSDT', 'RSDT']);
  for (const [name, bytes] of all) {
    writeFileSync(join(directory, `${name}.dat`), bytes);
    assert.doesNotMatch(run('iasl', '-d', `${name}.dat`), /error|warning|invalid/i, name);
    const listing = readFileSync(join(directory, `${name}.dsl`), 'utf8');
    assert.doesNotMatch(listing, /Incorrect|Invalid|Unknown/i, name);
  }
});

test('the disassembled DSDT compiles again', { skip: missing }, () => {
  writeFileSync(join(directory, 'again.dat'), tables().get('DSDT') ?? new Uint8Array());
  run('iasl', '-d', 'again.dat');
  assert.match(run('iasl', '-oa', 'again.dsl'), /Compilation successful\. 0 Errors/);
});

/** What methods return when everything that is not written reads as `fill`. */
function results(fill: number, ...methods: string[]): string[] {
  writeFileSync(join(directory, 'run.aml'), tables().get('DSDT') ?? new Uint8Array());
  const commands = methods.map((method) => `execute ${method}`).join(';');
  const output = run('acpiexec', '-fv', `0x${fill.toString(16)}`, '-b', commands, 'run.aml');
  return [
    ...output.matchAll(/\[(?:Integer|Buffer)\] (?:= |Length 08 = +0000: )([0-9A-F]+(?: [0-9A-F]{2})*)/g),
  ].map(([, value = '']) => value);
}

test('a CPU is there if its flag is set and the firmware has an entry for it', { skip: missing }, () => {
  const methods = ['\\_SB.PR00._STA', '\\_SB.PR01._STA', '\\_SB.PR7F._STA', '\\_SB.PR7F._MAT'];
  assert.deepEqual(results(0xff, ...methods), [
    '000000000000000F',
    '000000000000000F',
    '000000000000000F',
    'FF FF FF FF FF FF FF FF',
  ]);
  // With no CPU in the firmware's page, CPU 0 has an entry nevertheless.
  assert.deepEqual(results(0, ...methods), [
    '0000000000000000',
    '0000000000000000',
    '0000000000000000',
    '00 08 FF FF 00 00 00 00',
  ]);
});

test('the event reads the map of CPUs and makes the flags follow it', { skip: missing }, () => {
  assert.deepEqual(results(0xff, '\\_SB.PRSC'), ['0000000000000001']);
  assert.deepEqual(results(0, '\\_SB.PRSC', '\\_SB.PR05._STA'), ['0000000000000001', '0000000000000000']);
  const output = run('acpiexec', '-fv', '0', '-b', 'execute \\_GPE._E02', 'run.aml');
  assert.doesNotMatch(output, /AE_(?!OK)/);
});
