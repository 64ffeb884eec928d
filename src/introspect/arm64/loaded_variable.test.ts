import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { loadedVariable } from './loaded_variable.js';

function image(at: number, hex: string): Uint8Array {
  const bytes = new Uint8Array(0x30_0000);
  for (let i = 0; i < hex.length; i += 2) bytes[at + i / 2] = Number.parseInt(hex.slice(i, i + 2), 16);
  return bytes;
}

describe('the variable that a function reads first', () => {
  // kexec_crash_loaded of Debian's 6.1.0-57-arm64 and 6.12.118: two NOPs, perhaps PACIASP, ADRP, LDR, CMP, CSET, RET.
  const older = '1f2003d51f2003d500f100903f2303d5bf2303d500d847f91f0000f1e0079f1a';
  const newer = '1f2003d51f2003d5601401b0004842f91f0000f1e0079f1ac0035fd61f2003d5';

  // The second kernel lists the variable in its symbol table, at this offset.
  it('is the one of ADRP and LDR', () => {
    assert.equal(loadedVariable(image(0x18_63e0, older), 0x18_63e0), 0x1fa_6fb0);
    assert.equal(loadedVariable(image(0x1b_e868, newer), 0x1b_e868), 0x244_b490);
  });

  it('is not known of other code, and behind the end', () => {
    assert.equal(loadedVariable(image(0x1000, '00000014'), 0x1000), null);
    assert.equal(loadedVariable(image(0x1000, '00d847f9'), 0x1000), null);
    assert.equal(loadedVariable(new Uint8Array(2), 0), null);
    assert.equal(loadedVariable(new Uint8Array(64), 1 << 20), null);
  });
});
