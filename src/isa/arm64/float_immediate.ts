/** 8-bit floating-point immediates: a sign bit, three exponent bits, four fraction bits (DDI 0487, VFPExpandImm). */
import type { TextOperand } from '../instruction.js';
import type { FieldValues } from '../instruction.js';

/** The number's value. */
function valueOf(imm8: number): number {
  const exponent = ((imm8 >> 4) & 7) ^ 4;
  const magnitude = (1 + (imm8 & 15) / 16) * 2 ** (exponent - 3);
  return imm8 >= 128 ? -magnitude : magnitude;
}

/** The bits of the number in single or double precision. */
export function expandFloat(imm8: number, format: 32 | 64): bigint {
  const view = new DataView(new ArrayBuffer(8));
  if (format === 64) view.setFloat64(0, valueOf(imm8));
  else view.setFloat32(4, valueOf(imm8));
  return view.getBigUint64(0);
}

/** The text that C's %.18e gives. */
function text(value: number): string {
  const [digits = '', exponent = ''] = value.toExponential(18).split('e');
  return `${digits}e${exponent.replace(/\d+$/, (number) => number.padStart(2, '0'))}`;
}

/** An operand such as `#1.000000000000000000e+00`. */
export function floatImmediate(
  byteOf: (fields: FieldValues) => number,
  fieldsOf: (byte: number) => FieldValues,
): TextOperand {
  return {
    kind: 'text',
    print: (fields) => `#${text(valueOf(byteOf(fields)))}`,
    parse: (source) => {
      const found = /^#([-+.e\d]+)/.exec(source);
      const byte = Array.from({ length: 256 }, (_, index) => index).find(
        (index) => valueOf(index) === Number(found?.[1]),
      );
      if (found === null || byte === undefined) return null;
      return { fields: fieldsOf(byte), rest: source.slice(found[0].length) };
    },
  };
}
