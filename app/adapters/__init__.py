"""The outside world: sole importers of docker, the etcd client and pynvml."""
