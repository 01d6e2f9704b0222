"""DistilBERT classifiers: BERT under names of its own, with one more layer before the head."""

from dataclasses import replace

from compresslab.models.anatomy import BY_HIDDEN_SIZE, Attention, Mlp
from compresslab.models.families.bert import BERT
from compresslab.models.family import Family

DISTILBERT = Family(
    model_type="distilbert",
    title="DistilBERT",
    anatomy=replace(
        BERT.anatomy,
        root="distilbert",
        blocks="distilbert.transformer.layer",
        embedding="distilbert.embeddings.word_embeddings",
        attention=Attention(
            ("attention.q_lin", "attention.k_lin", "attention.v_lin"), "separate", "attention.out_lin", norm=None
        ),
        mlp=Mlp("ffn.lin1", "ffn.lin2", norm=None),
        keys=replace(
            BY_HIDDEN_SIZE,
            depth="n_layers",
            hidden="dim",
            heads="n_heads",
            mlp_width="hidden_dim",
            activation="activation",
        ),
        beside_head=("pre_classifier",),
    ),
)
