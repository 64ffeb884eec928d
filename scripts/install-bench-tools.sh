#!/bin/sh
# Installs the tools for the measurements in bench/ on Debian and its derivatives: QEMU's Arm boards, and a C compiler
# and binutils for arm64. Tools that exist are not touched.
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
