# Turns on the CPUs that the kernel left off at its start, as `maxcpus=` asks it to.
read -r present < /sys/devices/system/cpu/present
for cpu in $(seq "${present%-*}" "${present#*-}"); do
  can_turn_off "$cpu" || continue
  read -r online < "/sys/devices/system/cpu/cpu$cpu/online"
  [ "$online" = 1 ] || set_online "$cpu" 1
done
expect_online "$present"
