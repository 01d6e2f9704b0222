"""English. Settings, units and the names of methods are declared on their classes in core."""

from compresslab_dashboard.texts.en import (
    compare,
    explore,
    export,
    history,
    layers,
    methods,
    models,
    present,
    report,
    results,
    studio,
)

SETTINGS: dict[str, tuple[str, str, str]] = {}

UNITS: dict[str, str] = {}

TEXTS: dict[str, str] = {
    **methods.TEXTS,
    **studio.TEXTS,
    **results.TEXTS,
    **history.TEXTS,
    **compare.TEXTS,
    **explore.TEXTS,
    **layers.TEXTS,
    **models.TEXTS,
    **present.TEXTS,
    **report.TEXTS,
    **export.TEXTS,
}
