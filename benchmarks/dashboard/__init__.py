"""How long people wait at the dashboard: the real product, driven by mouse in a real Chromium, timed in the page."""
