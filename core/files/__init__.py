"""Where things lie on disk, and how they are read and written: whole, or not at all. Imports errors alone."""
