# Turns every CPU off and on, one after the other, and then all but one at once: as many times as `rounds` says, a word of the
# kernel's command line that comes to the first process as a variable. Another CPU stays each time, or CPU 0 where the kernel does
# not let it be turned off.
count=$(nproc)
last=$((count - 1))
all=0-$last
[ "$count" -gt 1 ] || fail 'one CPU alone cannot be turned off'
can_turn_off "$last" || fail "the kernel does not offer to turn off CPU $last"
set_all_but() {
  for cpu in $(seq 0 $last); do
    if [ "$cpu" -ne "$1" ] && can_turn_off "$cpu"; then set_online "$cpu" "$2" & fi
  done
  wait
}
for round in $(seq 1 "${rounds:?}"); do
  for cpu in $(seq 0 $last); do
    can_turn_off "$cpu" || continue
    set_online "$cpu" 0
    set_online "$cpu" 1
  done
  expect_online "$all"
  stays=$((round % count))
  can_turn_off 0 || stays=0
  set_all_but "$stays" 0
  expect_online "$stays"
  set_all_but "$stays" 1
  expect_online "$all"
done
