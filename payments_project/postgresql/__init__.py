"""Django's PostgreSQL backend, with failover."""
