# Turns every CPU off and on, one after the other, and then all but one at once: as many times as `rounds` says, a word of the
# kernel's command line that comes to the first process as a variable. Another CPU stays each time.
count=$(nproc)
last=$((count - 1))
all=0-$last
[ "$count" -gt 1 ] || fail 'one CPU alone cannot be turned off'
set_all_but() {
  for cpu in $(seq 0 $last); do
    if [ "$cpu" -ne "$1" ]; then set_online "$cpu" "$2" & fi
  done
  wait
}
for round in $(seq 1 "${rounds:?}"); do
  for cpu in $(seq 0 $last); do
    set_online "$cpu" 0
    set_online "$cpu" 1
  done
  expect_online "$all"
  stays=$((round % count))
  set_all_but "$stays" 0
  expect_online "$stays"
  set_all_but "$stays" 1
  expect_online "$all"
done
