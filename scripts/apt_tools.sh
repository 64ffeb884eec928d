# shellcheck shell=sh
# Functions for the scripts that install tools, which source this file. `want` declares a package; `install_wanted`
# installs the missing ones. This works on Debian and its derivatives; elsewhere it prints what is missing and
# continues.

packages=
want() { # want PACKAGE PATH...: unless one of the paths is there
  package=$1
  shift
  for path in "$@"; do
    if [ -e "$path" ] || command -v "$path" >/dev/null 2>&1; then return; fi
  done
  packages="$packages $package"
}

install_wanted() { # install_wanted WHAT CONSEQUENCE: what they are for, and what happens where they are missing
  if [ -z "$packages" ]; then
    echo "$1: all there"
    return 0
  fi

  if ! command -v apt-get >/dev/null 2>&1; then
    echo "$1: no apt-get here, nothing installed; missing:$packages ($2)"
    return 0
  fi

  as_root=
  if [ "$(id -u)" -ne 0 ]; then
    # Allow sudo to ask for a password only if there is a terminal to answer on.
    if command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
      as_root=sudo
    else
      echo "$1: neither root nor sudo, nothing installed; missing:$packages ($2)"
      return 0
    fi
  fi

  # shellcheck disable=SC2086 # both are lists of words
  {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends $packages >/dev/null
  }
  echo "$1: installed$packages"
}
