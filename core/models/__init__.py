"""What models are made of and where they come from, known from configs and headers alone. No torch.

Imports grids, files, records and what is below.
"""
