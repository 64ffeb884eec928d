#!/bin/sh
# Installs what the conformance tests ask for facts, on Debian and its kin: C compilers for both architectures,
# Xen's public headers, the device-tree and ACPI compilers, QEMU's user-mode emulator and Arm boards, and the archivers.
# None of it is needed to run domulator, and a test whose tool is missing skips with a reason. Run it as often as you
# like: what is there is left alone.
set -eu

packages=
want() { # want PACKAGE PATH...: unless one of the paths is there
  package=$1
  shift
  for path in "$@"; do
    if [ -e "$path" ] || command -v "$path" >/dev/null 2>&1; then return; fi
  done
  packages="$packages $package"
}

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

if [ -z "$packages" ]; then
  echo "test tools: all there"
  exit 0
fi

if ! command -v apt-get >/dev/null 2>&1; then
  echo "test tools: no apt-get here, nothing installed; missing:$packages (their tests will skip)"
  exit 0
fi

as_root=
if [ "$(id -u)" -ne 0 ]; then
  # sudo may ask for a password only where someone is there to answer.
  if command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
    as_root=sudo
  else
    echo "test tools: neither root nor sudo, nothing installed; missing:$packages (their tests will skip)"
    exit 0
  fi
fi

# shellcheck disable=SC2086 # both are lists of words
{
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends $packages >/dev/null
}
echo "test tools: installed$packages"
