"""THE list of methods and metrics. A new one is one file and one line here."""

from compresslab.methods.distill_layers import DistillLayers
from compresslab.methods.distill_logits import DistillLogits
from compresslab.methods.prune_channels import PruneChannels
from compresslab.methods.prune_layers import PruneLayers
from compresslab.methods.prune_magnitude import PruneMagnitude
from compresslab.methods.prune_sparsegpt import PruneSparsegpt
from compresslab.methods.prune_wanda import PruneWanda
from compresslab.methods.quantize_awq import QuantizeAwq
from compresslab.methods.quantize_gptq import QuantizeGptq
from compresslab.methods.quantize_hqq import QuantizeHqq
from compresslab.methods.quantize_rtn import QuantizeRtn
from compresslab.methods.quantize_smooth import QuantizeSmooth
from compresslab.metrics.accuracy import Accuracy
from compresslab.metrics.agreement import Agreement
from compresslab.metrics.exact_match import ExactMatch
from compresslab.metrics.footprint import Footprint
from compresslab.metrics.perplexity import Perplexity
from compresslab.metrics.speed import Speed
from compresslab.recipes.method import Method
from compresslab.recipes.metric import Metric

METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        PruneLayers,
        PruneChannels,
        PruneMagnitude,
        PruneWanda,
        PruneSparsegpt,
        DistillLogits,
        DistillLayers,
        QuantizeRtn,
        QuantizeHqq,
        QuantizeGptq,
        QuantizeAwq,
        QuantizeSmooth,
    )
}

METRICS: dict[str, type[Metric]] = {m.name: m for m in (Perplexity, Accuracy, ExactMatch, Agreement, Speed, Footprint)}
