"""The images of this node: list, pull, tag, remove."""
