#!/bin/sh
# Installs the reference tools of the conformance tests on Debian and its derivatives: C compilers for both
# architectures, Xen's public headers, the device tree and ACPI compilers, QEMU's user-mode emulator, its Arm boards and
# PC, UEFI for the Arm boards, and the archivers. Running domulator needs none of them, and a test whose tool is missing
# is skipped with a reason. The script can be run again at any time: tools that exist are not touched.
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
