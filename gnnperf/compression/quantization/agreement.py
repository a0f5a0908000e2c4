"""Whether the model that is shipped is the one that was simulated."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnperf import codec
from gnnperf.compression.compressed import Deployed
from gnnperf.compression.finite import tensors_in
from gnnperf.compression.quantization.fake_quantize import FrozenQuantize
from gnnperf.ops.bounded import bounded_messages
from gnnperf.records import Reading, measured
from gnnperf.training.modules import copied


@torch.no_grad()
def agreement_readings(
    simulated: nn.Module, deployed: Deployed, batches: Sequence[Data]
) -> dict[str, Reading]:
    """Compare the simulated model in eval mode with the deployed one, read back from its file.

    `export_agreement` is the share of rows with the same predicted class (of one logit: the same
    sign), `export_logit_difference_steps` the greatest difference of a logit over the step of the
    last quantizer that a forward passes. Of an output of several tensors all of them count.
    """
    shipped = copied(deployed)
    shipped.restore(codec.decode(codec.encode(deployed.state(), level="fast")).state)
    scales: list[float] = []

    def note(quantizer: FrozenQuantize, *_: object) -> None:
        scales[:] = [quantizer.scale.item()]

    for part in shipped.modules():
        if isinstance(part, FrozenQuantize):
            part.register_forward_hook(note)
    simulated.eval()
    with bounded_messages(simulated), bounded_messages(shipped):
        expected = [value for batch in batches for value in tensors_in(simulated(batch))]
        found = [value for batch in batches for value in tensors_in(shipped(batch))]
    pairs = list(zip(expected, found, strict=True))
    same = torch.cat([(predicted(a) == predicted(b)).flatten() for a, b in pairs])
    furthest = max(float((a - b).abs().max()) for a, b in pairs if a.numel())
    step = scales[0] if scales else 1.0
    source = f"{len(same)} rows of the test part, the file decoded again"
    return {
        "export_agreement": measured(float(same.double().mean()), "fraction", source),
        "export_logit_difference_steps": measured(furthest / step, "ratio", source),
    }


def predicted(logits: Tensor) -> Tensor:
    """Classes [n] of logits [n, classes], or of logits [n] or [n, 1] of one class against none."""
    return logits.argmax(-1) if logits.dim() > 1 and logits.size(-1) > 1 else logits > 0
