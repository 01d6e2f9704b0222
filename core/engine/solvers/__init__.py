"""The mathematics, to be read beside the papers: tensors in, tensors out. Imports torch and grids alone."""
