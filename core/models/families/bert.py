"""BERT classifiers."""

from compresslab.models.anatomy import BY_HIDDEN_SIZE, Anatomy, Attention, Mlp
from compresslab.models.family import Family

BERT = Family(
    model_type="bert",
    title="BERT",
    anatomy=Anatomy(
        root="bert",
        blocks="bert.encoder.layer",
        embedding="bert.embeddings.word_embeddings",
        final_norm=None,
        attention=Attention(
            ("attention.self.query", "attention.self.key", "attention.self.value"),
            "separate",
            "attention.output.dense",
            norm=None,  # norms stand after the residual is added
        ),
        mlp=Mlp("intermediate.dense", "output.dense", norm=None),
        keys=BY_HIDDEN_SIZE,
        head_count="fixed",
        activation="gelu",
        head="classifier",
        task="classification",
    ),
)
