"""Docker through docker-py: containers, images, commands in containers, and where writable layers are."""
