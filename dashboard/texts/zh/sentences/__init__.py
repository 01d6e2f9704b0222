"""core 所说的话的中文：英文原句，其中的值写作 {}，对应中文。中文里值的次序可以不同，这时写 {0}、{1}。"""

from compresslab_dashboard.texts.zh.sentences import exports, models, recipes, runs, runtimes
from compresslab_dashboard.texts.zh.sentences.holes import SYSTEM, WORDS

__all__ = ["JOINTS", "SENTENCES", "SYSTEM", "WORDS"]

SENTENCES: dict[str, str] = {
    **recipes.SENTENCES,
    **models.SENTENCES,
    **runs.SENTENCES,
    **runtimes.SENTENCES,
    **exports.SENTENCES,
}

JOINTS = {" ": "", "; ": "；", ": ": "：", ", ": "、", " and ": "、", " or ": " 或 "}
