"""What etcd holds: keys, records, claims, keys of idempotency, and the guard against an etcd that is too old."""
