"""Weights that are stored as they are, without a grid: dtypes, what these round away, bytes."""

STORED = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
ROUNDING = {"F32": 1e-4, "F16": 5e-3, "BF16": 4e-2}  # of logits, by the dtype in which weights are stored
ENTRY_BYTES = 120  # of a tensor in the header of a safetensors file
