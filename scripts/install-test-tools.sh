#!/bin/sh
# Installs what the conformance tests ask for facts, on Debian and its kin: C compilers for both architectures,
# Xen's public headers, the device-tree and ACPI compilers, QEMU's user-mode emulator,
# its Arm boards and PC, UEFI for the former, and the archivers.
# None of it is needed to run domulator, and a test whose tool is missing skips with a reason. Run it as often as you
# like: what is there is left alone.
set -eu

# shellcheck source=scripts/apt_tools.sh
. "$(dirname "$0")/apt_tools.sh"

want gcc gcc
case $(uname -m) in
  x86_64) want gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc ;;
  aarch64) want gcc-x86-64-linux-gnu x86_64-linux-gnu-gcc ;;
  *) want gcc-x86-64-linux-gnu x86_64-linux-gnu-gcc && want gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc ;;
esac
want libxen-dev /usr/include/xen/xen.h
want linux-libc-dev /usr/include/linux/psci.h
want device-tree-compiler dtc
want acpica-tools iasl
want qemu-user qemu-aarch64
want binutils-aarch64-linux-gnu aarch64-linux-gnu-objdump
want cpio cpio
want gpg gpg
want gpgv gpgv
want dpkg dpkg-deb
want qemu-system-arm qemu-system-aarch64
want qemu-system-x86 qemu-system-x86_64
want qemu-efi-aarch64 /usr/share/qemu-efi-aarch64/QEMU_EFI.fd

install_wanted 'test tools' 'their tests will skip'
