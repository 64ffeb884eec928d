import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseOpcode } from './opcode.js';

describe('the notation of opcodes', () => {
  it('is read as the manual means it', () => {
    assert.deepEqual(parseOpcode('81 /5 iz'), {
      text: '81 /5 iz', prefix: 'any', map: 0, byte: 0x81, hasRegister: false, hasModrm: true, modrm: -1, digit: 5, immediates: ['iz'],
    }); // prettier-ignore
    assert.deepEqual(parseOpcode('F3 0F 1E FA'), {
      text: 'F3 0F 1E FA', prefix: 'F3', map: 1, byte: 0x1e, hasRegister: false, hasModrm: true, modrm: 0xfa, digit: -1, immediates: [],
    }); // prettier-ignore
    assert.deepEqual(parseOpcode('B8+r iv'), {
      text: 'B8+r iv', prefix: 'any', map: 0, byte: 0xb8, hasRegister: true, hasModrm: false, modrm: -1, digit: -1, immediates: ['iv'],
    }); // prettier-ignore
    assert.equal(parseOpcode('66 0F 38 10 /r').map, 2);
  });

  it('must agree with what the parser reads', () => {
    assert.throws(() => parseOpcode('81 /5 ib'), /81 \/5 ib: the parser takes it as Z/);
    assert.throws(() => parseOpcode('90 /r'), /the parser takes it as -/);
    assert.throws(() => parseOpcode('0F 04'), /the parser takes it as u/);
  });

  it('is refused where it is not understood', () => {
    assert.throws(() => parseOpcode('0F'), /there is no opcode/);
    assert.throws(() => parseOpcode('90 iq'), /iq is not understood/);
    assert.throws(() => parseOpcode('XY /r'), /there is no opcode/);
  });
});
