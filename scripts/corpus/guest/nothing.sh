# Nothing: user space was reached.
