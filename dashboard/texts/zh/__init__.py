"""中文。英文的设置说明写在 core 的字段上，中文的都在这里。"""

from compresslab_dashboard.texts.zh import (
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
from compresslab_dashboard.texts.zh.settings import SETTINGS, UNITS

__all__ = ["SETTINGS", "TEXTS", "UNITS"]

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
