# Turns CPUs 1 and 2 off, and then on in the same order.
set_online 1 0
set_online 2 0
expect_online 0,3
set_online 1 1
set_online 2 1
expect_online 0-3
