"""A recipe as forms, as a stack of blocks, as code, in words."""
