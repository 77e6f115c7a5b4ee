"""Late fusion."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusion_models.fusion.reader import CellReader
from fusion_models.tokens import Queries, Tokens


class ConcatFusion(nn.Module):
    """Join what the cell reads from every modality, and mix it in one hidden layer."""

    def __init__(self, modalities: tuple[str, ...], width: int) -> None:
        super().__init__()
        self.readers = nn.ModuleDict({name: CellReader(width) for name in modalities})
        self.mix = nn.Sequential(
            nn.Linear((len(modalities) + 1) * width, width), nn.GELU(), nn.Linear(width, width)
        )

    def forward(self, tokens: Mapping[str, Tokens], queries: Queries) -> Float[Tensor, "batch cell width"]:
        """Return one embedding per cell."""
        reads = [reader(tokens[name], queries) for name, reader in self.readers.items()]
        fused: Tensor = queries.context + self.mix(torch.cat([queries.context, *reads], dim=-1))
        return fused
