"""Jobs as a session sees them: asked for, watched, stopped."""
