"""Thousands of mixed calls, faults and cancellations against a server in a process of its own: `make soak`."""
