#!/bin/sh
# Builds the small kernels of wrong_kernels.json, each with one error in it, into the user's cache folder. Installs what that
# takes (Debian and its kin): Debian's kernel source, a compiler and what the kernel's build asks for.
#
# Usage: sh scripts/corpus/build_wrong_kernels.sh [--arch arm64|amd64] [--jobs N] [NAME...]
set -eu

here=$(dirname "$0")
# shellcheck source=scripts/apt_tools.sh
. "$here/../apt_tools.sh"

want linux-source-6.1 /usr/src/linux-source-6.1.tar.xz
arch=arm64
previous=
for word in "$@"; do
  case $previous$word in --archamd64 | --arch=amd64) arch=amd64 ;; esac
  previous=$word
done
case $arch-$(uname -m) in
  arm64-aarch64 | amd64-x86_64) ;;
  arm64-*) want gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc ;;
  amd64-*) want gcc-x86-64-linux-gnu x86_64-linux-gnu-gcc ;;
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
