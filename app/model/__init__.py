"""Pure rules, standard library only: names, containers, GPUs, operations."""
