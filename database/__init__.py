"""What both apps need of the database: prepared statements, threads, errors in few words, read-only admin pages."""
