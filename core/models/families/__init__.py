"""THE list of model families, by `model_type`. A new one is one file here and one line below.

Another package's is an entry point of the group `compresslab.families`.
"""

from compresslab.models.anatomy import Anatomy
from compresslab.models.families.bart import BART
from compresslab.models.families.bert import BERT
from compresslab.models.families.bloom import BLOOM
from compresslab.models.families.distilbert import DISTILBERT
from compresslab.models.families.gemma import GEMMA
from compresslab.models.families.gemma2 import GEMMA2
from compresslab.models.families.gemma3 import GEMMA3
from compresslab.models.families.gpt2 import GPT2
from compresslab.models.families.gpt_neox import GPT_NEOX
from compresslab.models.families.llama import LLAMA
from compresslab.models.families.mistral import MISTRAL
from compresslab.models.families.opt import OPT
from compresslab.models.families.phi import PHI
from compresslab.models.families.phi3 import PHI3
from compresslab.models.families.qwen2 import QWEN2
from compresslab.models.families.qwen3 import QWEN3
from compresslab.models.families.roberta import ROBERTA
from compresslab.models.families.smollm3 import SMOLLM3
from compresslab.models.families.t5 import T5
from compresslab.models.family import Config, Family
from compresslab.registry import Registry, instance_of

OURS = (
    LLAMA,
    MISTRAL,
    QWEN2,
    QWEN3,
    SMOLLM3,
    GEMMA,
    GEMMA2,
    GEMMA3,
    PHI,
    PHI3,
    GPT2,
    GPT_NEOX,
    OPT,
    BLOOM,
    BERT,
    DISTILBERT,
    ROBERTA,
    T5,
    BART,
)
FAMILIES: Registry[Family] = Registry("compresslab.families", instance_of(Family), ours=OURS)


def anatomy(config: Config) -> Anatomy:
    """The anatomy of the model that a config.json of a known family describes. Raises BadInput."""
    return FAMILIES[str(config["model_type"])].anatomy_of(config)


def titles() -> list[str]:
    """What is supported, for people."""
    return [family.title for family in FAMILIES.values()]
