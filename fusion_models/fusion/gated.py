"""Gated fusion (after Arevalo et al. 2017, gated multimodal units)."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusion_models.fusion.reader import CellReader
from fusion_models.tokens import Queries, Tokens


class GatedFusion(nn.Module):
    """Add each modality's reading to the cell's context, through a gate that sees both."""

    def __init__(self, modalities: tuple[str, ...], width: int) -> None:
        super().__init__()
        self.readers = nn.ModuleDict({name: CellReader(width) for name in modalities})
        self.values = nn.ModuleDict({name: nn.Linear(width, width) for name in modalities})
        self.gates = nn.ModuleDict({name: nn.Linear(2 * width, width) for name in modalities})

    def forward(self, tokens: Mapping[str, Tokens], queries: Queries) -> Float[Tensor, "batch cell width"]:
        """Return one embedding per cell."""
        fused = queries.context
        for name, reader in self.readers.items():
            read = reader(tokens[name], queries)
            gate = torch.sigmoid(self.gates[name](torch.cat([queries.context, read], dim=-1)))
            fused = fused + gate * torch.tanh(self.values[name](read))
        return fused
