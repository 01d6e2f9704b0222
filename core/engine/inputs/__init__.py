"""What layers are given: calibration statistics, taken once and kept."""
