"""Makes what is true in Docker what etcd says should be; level-triggered: each pass begins with what it finds."""
