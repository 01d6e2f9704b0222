"""What can be said before anything runs."""
