#!/bin/sh
# The first process of a guest, before one of the scripts beside this: mounts what they read, and says what they share.
# A script that fails ends the first process, and the kernel panics.
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null

fail() {
  echo "corpus: failed: $*"
  exit 1
}
# set_online CPU 0|1: turns a CPU off or on
set_online() { echo "$2" > "/sys/devices/system/cpu/cpu$1/online" || fail "cpu$1: online=$2"; }
# can_turn_off CPU: whether the kernel offers that; amd64 kernels do not for CPU 0
can_turn_off() { [ -e "/sys/devices/system/cpu/cpu$1/online" ]; }
# expect_online LIST: checks the kernel's list of online CPUs, such as `0-2,5`
expect_online() {
  read -r online < /sys/devices/system/cpu/online
  [ "$online" = "$1" ] || fail "online: $online, not $1"
}
# move_xenstore CPU: routes the xenstore's event to this CPU
move_xenstore() {
  irq=$(sed -n 's/^ *\([0-9]*\):.*xenbus.*/\1/p' /proc/interrupts)
  [ -n "$irq" ] || fail 'no interrupt of xenstore'
  echo "$1" > "/proc/irq/$irq/smp_affinity_list" || fail "irq $irq: affinity $1"
}
