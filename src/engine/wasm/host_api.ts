/** The part of the WebAssembly JavaScript API that the engine uses. All supported hosts have it. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

export interface WasmTable {
  readonly length: number;
  set(index: number, value: unknown): void;
  /** Adds entries. */
  grow(by: number): number;
}

interface WebAssemblyApi {
  /** Sizes in pages of 64 KiB. */
  readonly Memory: new (sizes: { initial: number; maximum?: number }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (
    module: object,
    imports: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  ) => { readonly exports: Readonly<Record<string, unknown>> };
}

export const webAssembly: WebAssemblyApi = (globalThis as unknown as { WebAssembly: WebAssemblyApi })
  .WebAssembly;
