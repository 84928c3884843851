"""What `gpudock doctor` examines: the host, Docker, etcd and the GPUs, each by itself."""
