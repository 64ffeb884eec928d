# Turns CPU 1 off and on.
set_online 1 0
set_online 1 1
expect_online 0-3
