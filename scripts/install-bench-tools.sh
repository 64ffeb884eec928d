#!/bin/sh
# Installs what the measurements in bench/ compare with and compile with, on Debian and its kin: QEMU's Arm boards, and a C
# compiler and binutils for arm64. What is there is left alone.
set -eu

# shellcheck source=scripts/apt_tools.sh
. "$(dirname "$0")/apt_tools.sh"

want qemu-system-arm qemu-system-aarch64
case $(uname -m) in
  aarch64) want gcc gcc ;;
  *) want gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc ;;
esac
want binutils-aarch64-linux-gnu aarch64-linux-gnu-objcopy
install_wanted 'bench tools' 'their measurements cannot be taken'
