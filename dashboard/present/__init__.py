"""The parts of the Present page: what a room sees."""
