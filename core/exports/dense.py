"""Weights that are stored as they are, without a grid: dtypes, bytes."""

STORED = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
ENTRY_BYTES = 120  # of a tensor in the header of a safetensors file
