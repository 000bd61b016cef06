"""Speed and memory beside a bare aiohttp client and the package's peers: `python -m benchmarks`, or `make bench`."""
