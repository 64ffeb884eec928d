# Moves the xenstore's event to each CPU and back.
for cpu in 1 2 3 0; do move_xenstore "$cpu"; done
