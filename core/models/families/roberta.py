"""RoBERTa classifiers: BERT with a head of two layers and positions that begin after padding's."""

from dataclasses import replace

from compresslab.models.anatomy import Anatomy
from compresslab.models.families.bert import BERT
from compresslab.models.family import Config, Family


def _adapted(body: Anatomy, config: Config) -> Anatomy:
    return replace(body, unused_positions=int(config.get("pad_token_id") or 0) + 1)


ROBERTA = Family(
    model_type="roberta",
    title="RoBERTa",
    anatomy=replace(
        BERT.anatomy,
        root="roberta",
        blocks="roberta.encoder.layer",
        embedding="roberta.embeddings.word_embeddings",
        head="classifier.out_proj",
        beside_head=("classifier.dense",),
    ),
    adapted=_adapted,
    tiny={"max_position_embeddings": 65},
)
