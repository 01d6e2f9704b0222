"""What is measured once for each model and kept: sensitivity, layers, statistics. No torch.

Imports recipes and what is below.
"""
