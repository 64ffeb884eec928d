/**
 * Opcodes in the manual's notation (Intel SDM, volume 2, 3.1.1.1): `F3 0F B8 /r`, `81 /0 iz`, `50+r`, `0F 01 F8`.
 *
 * - First may stand the mandatory prefix `66`, `F2` or `F3`, or `NP`, which refuses all three. Without one, prefixes do not
 *   choose the instruction.
 * - `0F`, `0F 38` and `0F 3A` choose the map. The next byte is the opcode, with `+r` where its low three bits name a
 *   register. Another byte is a whole ModRM byte.
 * - `/r` is a ModRM byte with a register, `/0` to `/7` one with further bits of the opcode.
 * - Immediates: `ib` and `iw` of 8 and 16 bits, `iz` of the operand size but at most 32 bits, `iv` of the operand size, `ia`
 *   of the address size, `ip` a far pointer. `cb` and `cz` are branch offsets of the sizes of `ib` and `iz`.
 */
import { invariant } from '../../base/index.js';
import { layoutAt } from './parser.js';

export type MandatoryPrefix = 'any' | 'NP' | '66' | 'F2' | 'F3';

export type ImmediateKind = 'ib' | 'iw' | 'iz' | 'iv' | 'ia' | 'ip' | 'cb' | 'cz';

export interface Opcode {
  /** The notation. */
  readonly text: string;
  readonly prefix: MandatoryPrefix;
  /** See parser.ts. */
  readonly map: number;
  readonly byte: number;
  /** Whether the low three bits of the byte name a register. */
  readonly hasRegister: boolean;
  readonly hasModrm: boolean;
  /** The whole ModRM byte, or its /digit; -1 if it is not fixed. */
  readonly modrm: number;
  readonly digit: number;
  readonly immediates: readonly ImmediateKind[];
}

const immediateKinds: readonly string[] = ['ib', 'iw', 'iz', 'iv', 'ia', 'ip', 'cb', 'cz'];

/** The layout that parser.ts must have for an opcode with a ModRM byte or not, and with immediates. */
const layouts: Readonly<Record<string, readonly [plain: string, modrm: string]>> = {
  '': ['-', 'm'],
  ib: ['b', 'M'],
  cb: ['b', 'M'],
  iw: ['w', '?'],
  iz: ['z', 'Z'],
  cz: ['z', '?'],
  iv: ['v', '?'],
  ia: ['o', '?'],
  ip: ['f', '?'],
  'iw ib': ['e', '?'],
};

function readPrefix(pieces: string[]): MandatoryPrefix {
  const [first = ''] = pieces;
  // F2 and F3 alone would be prefixes too, but no opcode is.
  if (!/^(NP|66|F2|F3)$/.test(first)) return 'any';
  pieces.shift();
  return first as MandatoryPrefix;
}

function readMap(pieces: string[]): number {
  const [first, second] = pieces;
  const map = first !== '0F' ? 0 : second === '38' ? 2 : second === '3A' ? 3 : 1;
  pieces.splice(0, Math.min(map, 2));
  return map;
}

/** Parses the notation. Throws InvariantError if it is not understood or contradicts parser.ts. */
export function parseOpcode(text: string): Opcode {
  const pieces = text.split(' ');
  const [prefix, map] = [readPrefix(pieces), readMap(pieces)];
  const [, digits = '', plus] = /^([0-9A-F]{2})(\+r)?$/.exec(pieces.shift() ?? '') ?? [];
  invariant(digits !== '', `${text}: there is no opcode`);
  let [modrm, digit, hasModrm] = [-1, -1, false];
  const immediates: ImmediateKind[] = [];
  for (const piece of pieces) {
    if (/^[0-9A-F]{2}$/.test(piece)) modrm = parseInt(piece, 16);
    else if (/^\/[0-7]$/.test(piece)) digit = Number(piece.charAt(1));
    else if (piece !== '/r') {
      invariant(immediateKinds.includes(piece), `${text}: ${piece} is not understood`);
      immediates.push(piece as ImmediateKind);
      continue;
    }
    hasModrm = true;
  }
  const byte = parseInt(digits, 16);
  const [plain = '?', withModrm = '?'] = layouts[immediates.join(' ')] ?? [];
  const layout = layoutAt(map, byte);
  // Groups 3 have an immediate for TEST alone.
  const wanted = /[gG]/.test(layout) ? layout : hasModrm ? withModrm : plain;
  invariant(layout === wanted, `${text}: the parser takes it as ${layout}`);
  return { text, prefix, map, byte, hasRegister: plus !== undefined, hasModrm, modrm, digit, immediates };
}
