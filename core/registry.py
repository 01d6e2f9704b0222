"""THE list of methods and metrics. A new one is one file and one line here."""

from core.methods import Method
from core.methods.distill_logits import DistillLogits
from core.methods.prune_channels import PruneChannels
from core.methods.prune_layers import PruneLayers
from core.methods.prune_magnitude import PruneMagnitude
from core.methods.prune_sparsegpt import PruneSparsegpt
from core.methods.prune_wanda import PruneWanda
from core.methods.quantize_gptq import QuantizeGptq
from core.methods.quantize_rtn import QuantizeRtn
from core.metrics import Metric
from core.metrics.accuracy import Accuracy
from core.metrics.agreement import Agreement
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
        QuantizeRtn,
        QuantizeGptq,
    )
}

METRICS: dict[str, type[Metric]] = {m.name: m for m in (Perplexity, Accuracy, Agreement, Speed, Footprint)}
