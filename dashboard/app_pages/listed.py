"""Every page, in the order of the navigation."""

from __future__ import annotations

from compresslab_dashboard.app_pages import compare, explore, history, layers, models, present, studio

PAGES = (studio.PAGE, compare.PAGE, explore.PAGE, layers.PAGE, history.PAGE, models.PAGE, present.PAGE)
