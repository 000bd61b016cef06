"""The soak test: thousands of calls, faults and cancellations against a server in its own process (`make soak`)."""
