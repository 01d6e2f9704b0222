"""Scores with their errors, answers, speed, memory, sensitivity. Imports every other room of the engine."""
