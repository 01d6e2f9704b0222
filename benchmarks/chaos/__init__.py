"""Faults of every kind in every phase of the work: nothing may be lost, nobody orphaned, nothing left lying about."""
