"""Where things lie on disk, and how they are read and written."""
