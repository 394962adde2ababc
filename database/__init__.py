"""Work with the database for all apps: prepared statements, threads, short errors, read-only admin pages."""
