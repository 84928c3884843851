"""GPUs: which an operation takes, how they are, and who held them."""
