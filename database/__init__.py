"""What both apps need of the database: statements that are prepared once, and errors in few words."""
