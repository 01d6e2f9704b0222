"""What a job says while it works and what it leaves, as plain data. Imports errors alone."""
