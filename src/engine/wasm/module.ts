/**
 * Builder for WebAssembly modules (core specification 2.0, section 5.5): imports, functions with locals, a table,
 * exports.
 */
import { Code } from './code.js';
import type { ValueType } from './code.js';

export interface FunctionType {
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
}

interface Import {
  readonly name: string;
  readonly type: FunctionType;
}

interface Body {
  readonly type: FunctionType;
  readonly exportName: string | null;
  /** Locals beyond the parameters. */
  readonly locals: readonly ValueType[];
  readonly code: Code;
}

/** A module that imports one memory, `host.memory`, and functions from `host`. Imports come first. */
export class WasmModule {
  readonly #imports: Import[] = [];
  readonly #bodies: Body[] = [];
  #table: { readonly functions: readonly number[]; readonly size: number } = { functions: [], size: 0 };
  #tableName: string | null = null;
  readonly #memoryPages: number;

  constructor(memoryPages: number) {
    this.#memoryPages = memoryPages;
  }

  /** Adds an import and returns its function index, for `call`. All imports must be added before the first body. */
  importFunction(name: string, type: FunctionType): number {
    this.#imports.push({ name, type });
    return this.#imports.length - 1;
  }

  addFunction(
    type: FunctionType,
    locals: readonly ValueType[],
    code: Code,
    exportName: string | null,
  ): number {
    this.#bodies.push({ type, locals, code, exportName });
    return this.#imports.length + this.#bodies.length - 1;
  }

  /** Defines table 0 with `size` entries, and exports it. `functions` are the function indexes of its first entries. */
  setTable(functions: readonly number[], size: number, exportName: string): void {
    this.#table = { functions, size };
    this.#tableName = exportName;
  }

  /** The index of a function type. Adds the type if it is new. */
  typeIndex(type: FunctionType): number {
    const known = this.#types.findIndex((other) => sameType(other, type));
    return known >= 0 ? known : this.#types.push(type) - 1;
  }

  readonly #types: FunctionType[] = [];

  encode(): Uint8Array<ArrayBuffer> {
    const module = new Code().append([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]);
    for (const { type } of [...this.#imports, ...this.#bodies]) this.typeIndex(type);
    section(module, 1, this.#types, (out, type) => {
      out.byte(0x60).unsigned(type.parameters.length).append(type.parameters);
      out.unsigned(type.results.length).append(type.results);
    });
    this.#encodeImports(module);
    section(module, 3, this.#bodies, (out, { type }) => out.unsigned(this.typeIndex(type)));
    section(module, 4, [this.#table.size], (out, size) => out.append([0x70, 0x00]).unsigned(size));
    section(module, 7, this.#exports(), (out, { name, kind, index }) => {
      text(out, name);
      out.byte(kind).unsigned(index);
    });
    section(module, 9, [this.#table], (out, { functions }) => {
      // Active segment from entry 0 on (i32.const 0, end).
      out.append([0x00, 0x41, 0x00, 0x0b]).unsigned(functions.length);
      for (const index of functions) out.unsigned(index);
    });
    section(module, 10, this.#bodies, (out, { locals, code }) => {
      const body = new Code().unsigned(locals.length);
      for (const type of locals) body.unsigned(1).byte(type);
      body.append(code.bytes()).end();
      out.unsigned(body.length).append(body.bytes());
    });
    return module.bytes().slice();
  }

  #exports(): { readonly name: string; readonly kind: number; readonly index: number }[] {
    const functions = this.#bodies.flatMap(({ exportName }, body) =>
      exportName === null ? [] : [{ name: exportName, kind: 0x00, index: this.#imports.length + body }],
    );
    return this.#tableName === null
      ? functions
      : [...functions, { name: this.#tableName, kind: 0x01, index: 0 }];
  }

  #encodeImports(module: Code): void {
    const content = new Code().unsigned(this.#imports.length + 1);
    text(content, 'host');
    text(content, 'memory');
    content.byte(0x02).byte(0x00).unsigned(this.#memoryPages);
    for (const { name, type } of this.#imports) {
      text(content, 'host');
      text(content, name);
      content.byte(0x00).unsigned(this.typeIndex(type));
    }
    module.byte(2).unsigned(content.length).append(content.bytes());
  }
}

function sameType(a: FunctionType, b: FunctionType): boolean {
  return String(a.parameters) === String(b.parameters) && String(a.results) === String(b.results);
}

function text(out: Code, value: string): void {
  out.unsigned(value.length);
  for (let at = 0; at < value.length; at += 1) out.byte(value.charCodeAt(at));
}

function section<T>(
  module: Code,
  id: number,
  items: readonly T[],
  write: (out: Code, item: T, index: number) => unknown,
): void {
  const content = new Code().unsigned(items.length);
  for (const [index, item] of items.entries()) write(content, item, index);
  module.byte(id).unsigned(content.length).append(content.bytes());
}
