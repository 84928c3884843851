"""Examines the host, Docker, etcd and the GPUs for `gpudock doctor`, each by itself."""
