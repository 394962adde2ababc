"""Wire the apps into one Django project."""
