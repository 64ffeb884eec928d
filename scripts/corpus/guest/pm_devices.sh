# Makes the kernel suspend its devices and resume them, in every sleep state that it offers.
[ -w /sys/power/pm_test ] || fail 'no pm_test'
echo devices > /sys/power/pm_test || fail 'pm_test=devices'
read -r states < /sys/power/state
tried=0
for state in $states; do
  case $state in
    freeze | mem) echo "$state" > /sys/power/state || fail "state $state" ;;
    *) continue ;;
  esac
  tried=$((tried + 1))
done
[ "$tried" -gt 0 ] || fail "no state to try among: $states"
