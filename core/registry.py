"""THE list of methods and metrics. A new one is one file and one line here."""

from core.methods import Method
from core.methods.distill_layers import DistillLayers
from core.methods.distill_logits import DistillLogits
from core.methods.prune_channels import PruneChannels
from core.methods.prune_layers import PruneLayers
from core.methods.prune_magnitude import PruneMagnitude
from core.methods.prune_sparsegpt import PruneSparsegpt
from core.methods.prune_wanda import PruneWanda
from core.methods.quantize_awq import QuantizeAwq
from core.methods.quantize_gptq import QuantizeGptq
from core.methods.quantize_hqq import QuantizeHqq
from core.methods.quantize_rtn import QuantizeRtn
from core.methods.quantize_smooth import QuantizeSmooth
from core.metrics import Metric
from core.metrics.accuracy import Accuracy
from core.metrics.agreement import Agreement
from core.metrics.exact_match import ExactMatch
from core.metrics.footprint import Footprint
from core.metrics.perplexity import Perplexity
from core.metrics.speed import Speed

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
