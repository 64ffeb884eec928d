/** Builds the inputs for tests of kernels and packages: minimal kernels, ar archives, packages. */
import { gzipSync } from 'node:zlib';
import { packTar } from 'modern-tar';

export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'latin1'));
}

export function concat(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

export interface KernelParts {
  readonly textOffset?: bigint;
  readonly imageSize?: bigint;
  readonly flags?: bigint;
  /** Whether it is a PE file too, with one section that ends at the end of the file. */
  readonly pe?: boolean;
  readonly machine?: number;
  /** Its version text. */
  readonly version?: string;
}

/** An arm64 Image (Linux Documentation/arm64/booting.rst) of 1 KiB that would not boot. */
export function kernelImage({
  textOffset = 0n,
  imageSize = 0x2000n,
  flags = 0xan,
  pe = true,
  machine = 0xaa64,
  version = '6.1.0-99-arm64',
}: KernelParts = {}): Uint8Array {
  const bytes = new Uint8Array(1024);
  const view = new DataView(bytes.buffer);
  bytes.set(bytesOf('MZ'));
  view.setBigUint64(8, textOffset, true);
  view.setBigUint64(16, imageSize, true);
  view.setBigUint64(24, flags, true);
  bytes.set(bytesOf('ARMd'), 56);
  if (pe) {
    view.setUint32(60, 64, true);
    bytes.set(bytesOf('PE'), 64);
    view.setUint16(68, machine, true);
    view.setUint16(70, 1, true); // sections
    view.setUint16(84, 16, true); // bytes of the optional header
    const section = 64 + 24 + 16;
    view.setUint32(section + 16, 512, true); // bytes
    view.setUint32(section + 20, 512, true); // from
  }
  bytes.set(bytesOf(`Linux version %s\0Linux version ${version} (somebody)\n`), 600);
  return bytes;
}

/** An EFI application with a compressed payload (Linux drivers/firmware/efi/libstub/zboot-header.S). */
export function zbootImage(payload: Uint8Array, compression: string): Uint8Array {
  const bytes = concat(kernelImage(), payload);
  const view = new DataView(bytes.buffer);
  bytes.fill(0, 2, 60);
  bytes.set(bytesOf('zimg'), 4);
  view.setUint32(8, 1024, true);
  view.setUint32(12, payload.length, true);
  bytes.set(bytesOf(compression), 24);
  return bytes;
}

/** An ar archive (deb(5)). */
export function arArchive(members: Readonly<Record<string, Uint8Array>>): Uint8Array {
  const parts = Object.entries(members).map(([name, content]) => {
    const fields = [name.padEnd(16), '0'.padEnd(12), '0'.padEnd(6), '0'.padEnd(6), '100644'.padEnd(8)];
    const header = bytesOf(`${fields.join('')}${String(content.length).padEnd(10)}\`\n`);
    return concat(header, content, new Uint8Array(content.length % 2).fill(0x0a));
  });
  return concat(bytesOf('!<arch>\n'), ...parts);
}

/** A tar archive of regular files, each after its directories, as dpkg-deb writes it. */
export async function tarArchive(files: Readonly<Record<string, Uint8Array>>): Promise<Uint8Array> {
  const directories = new Set(
    Object.keys(files).flatMap((path) => {
      const parts = path.split('/').slice(0, -1);
      return parts.map((_, i) => parts.slice(0, i + 1).join('/'));
    }),
  );
  return packTar([
    { header: { name: './', type: 'directory', size: 0 } },
    ...[...directories].map((path) => ({
      header: { name: `./${path}/`, type: 'directory' as const, size: 0 },
    })),
    ...Object.entries(files).map(([path, body]) => ({
      header: { name: `./${path}`, type: 'file' as const, size: body.length },
      body,
    })),
  ]);
}

/** A package with control fields and files. Both archives are compressed by gzip unless `pack` says otherwise. */
export async function debPackage(
  control: Readonly<Record<string, string>>,
  files: Readonly<Record<string, Uint8Array>>,
  pack: { suffix: string; compress: (bytes: Uint8Array) => Uint8Array } = {
    suffix: '.gz',
    compress: gzipSync,
  },
): Promise<Uint8Array> {
  const fields = Object.entries(control).map(([name, value]) => `${name}: ${value}\n`);
  const controlTar = await tarArchive({ control: bytesOf(fields.join('')), md5sums: new Uint8Array() });
  return arArchive({
    'debian-binary': bytesOf('2.0\n'),
    [`control.tar${pack.suffix}`]: pack.compress(controlTar),
    [`data.tar${pack.suffix}`]: pack.compress(await tarArchive(files)),
  });
}
