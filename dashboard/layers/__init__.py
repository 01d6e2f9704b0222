"""The Layers page: what a recipe makes of every part of a model, and what each part may have of its own."""
