#!/bin/sh
# Builds the small arm64 kernels of wrong.json, each with one error in it, into the user's cache folder. Installs what that
# takes (Debian and its kin): Debian's kernel source, a compiler for arm64 and what the kernel's build asks for.
#
# Usage: sh scripts/corpus/build_wrong_kernels.sh [--jobs N] [NAME...]
set -eu

here=$(dirname "$0")
# shellcheck source=scripts/apt_tools.sh
. "$here/../apt_tools.sh"

want linux-source-6.1 /usr/src/linux-source-6.1.tar.xz
case $(uname -m) in
  aarch64) want gcc gcc ;;
  *) want gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc ;;
esac
want gcc gcc
want make make
want xz-utils xz
want bison bison
want flex flex
want bc bc
want dwarves pahole
want libelf-dev /usr/include/libelf.h
want libssl-dev /usr/include/openssl/ssl.h
want python3 python3
install_wanted 'kernel build tools' 'the kernels cannot be built'

exec node "$here/build_wrong_kernels.js" "$@"
