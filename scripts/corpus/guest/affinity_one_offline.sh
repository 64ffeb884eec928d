# Moves the xenstore's event while CPU 3 is offline.
set_online 3 0
expect_online 0-2
move_xenstore 1
move_xenstore 2
