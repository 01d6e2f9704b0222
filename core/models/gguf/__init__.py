"""GGUF: what a file says, in the words of transformers, and the other way round, as the rows of the families say it.

No torch. Exports write by it, and models are read by it.
"""
