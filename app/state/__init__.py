"""Keep the state in etcd: keys, records, claims, idempotency, and the guard against an etcd that is too old."""
