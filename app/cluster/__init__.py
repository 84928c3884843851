"""Several nodes on one etcd: which there are, what each tells of itself, and what is whose to do."""
