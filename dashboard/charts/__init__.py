"""Figures of a result, and the style that all figures share."""
