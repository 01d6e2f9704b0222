"""Makes the bundled model: a story world, a tokenizer, a small Llama trained on them, and its model card."""
