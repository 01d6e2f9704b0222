"""Models as torch holds them: load, offload, pack."""
