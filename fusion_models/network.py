"""The whole network: encoders, fusion, head."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusion_models.config import PROVIDER_KINDS, ModelConfig
from fusion_models.data.spec import SPEEDS, STRAIN_RATES, SampleSpec
from fusion_models.encoders import make_encoder
from fusion_models.fusion import make_fusion
from fusion_models.heads import LogRateHead
from fusion_models.tokens import Inputs, Queries


class FusionNetwork(nn.Module):
    """Log corrections of the baseline's rates from all modalities; rate = baseline rate * exp(delta)."""

    def __init__(self, config: ModelConfig, spec: SampleSpec) -> None:
        super().__init__()
        self.spec = spec
        self.encoders = nn.ModuleDict(
            {name: make_encoder(name, len(spec.variables[name]), config) for name in spec.modalities}
        )
        self.local = tuple(
            i for i, name in enumerate(spec.variables.get("strain", ())) if name in (*SPEEDS, *STRAIN_RATES)
        )
        n_context = 2 * (len(spec.variables["cells"]) + len(self.local))
        # The short way: what is known of a cell itself and of its neighbours reaches the head undiluted.
        self.context = nn.Sequential(
            nn.Conv2d(n_context, config.width, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(config.width, config.width, 3, padding=1),
        )
        self.fusion = make_fusion(config)
        self.head = LogRateHead(config.width, len(spec.horizons), config.max_log_correction)

    def forward(self, inputs: Mapping[str, Inputs]) -> Float[Tensor, "batch horizon lat lon"]:
        """Return delta for the scaled inputs of every modality and `cells`."""
        cells = inputs["cells"]
        parts = [cells.values, cells.mask.float()]
        if self.local:
            strain = inputs["strain"]
            parts += [strain.values[:, 0, :, :, self.local], strain.mask[:, 0, :, :, self.local].float()]
        stacked = torch.cat(parts, dim=-1).permute(0, 3, 1, 2)
        context = self.context(stacked).flatten(2).transpose(1, 2)
        tokens = {name: encoder(*inputs[name]) for name, encoder in self.encoders.items()}
        embedding = self.fusion(tokens, Queries(context, cells.positions))
        delta: Tensor = self.head(embedding)
        return delta.reshape(delta.shape[0], delta.shape[1], *self.spec.n_cells)


def hide(inputs: Mapping[str, Inputs], spec: SampleSpec, kind: str, hidden: Tensor) -> dict[str, Inputs]:
    """Return `inputs` with the modalities of provider `kind` masked in the samples where `hidden` (batch,) is True.

    Raises
    ------
    KeyError
        If there is no such kind of provider.
    """
    if kind not in PROVIDER_KINDS:
        raise KeyError(f"unknown kind of provider {kind!r}: expected one of {sorted(PROVIDER_KINDS)}")
    result = dict(inputs)
    for name in PROVIDER_KINDS[kind]:
        if name in result:
            values, mask, positions = result[name]
            keep = ~hidden.reshape(-1, *(1,) * (values.ndim - 1))
            result[name] = Inputs(values * keep, mask & keep, positions)
    if kind == "seismic":
        values, mask, positions = result["cells"]
        counts = torch.tensor([name.startswith("log_count_") for name in spec.variables["cells"]])
        keep = ~(hidden[:, None, None, None] & counts.to(hidden.device))
        result["cells"] = Inputs(values * keep, mask & keep, positions)
    return result
