"""The web dashboard: one observer of the store. It never imports torch."""
