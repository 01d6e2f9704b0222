"""Scores, intervals, speed, memory."""
