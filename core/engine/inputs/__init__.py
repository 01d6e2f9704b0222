"""What layers are given: statistics of their inputs, taken once from a text and kept. Imports engine.models."""
