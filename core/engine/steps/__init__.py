"""What methods share: the driver around every solve, scores, folds, surgery, training.

Imports engine.inputs and below.
"""
