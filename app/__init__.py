"""gpudock: the control plane of a GPU server."""
