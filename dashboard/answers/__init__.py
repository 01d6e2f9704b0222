"""Texts of models side by side: asked for, marked where they differ, voted on."""
