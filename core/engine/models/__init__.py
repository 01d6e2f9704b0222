"""Models as torch holds them: loaded, offloaded, packed, run block by block.

Imports engine.solvers for weights on grids.
"""
