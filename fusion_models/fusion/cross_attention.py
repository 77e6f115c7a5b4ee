"""Cells attend to the tokens of all modalities."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusion_models.attention import GeometryAttention
from fusion_models.tokens import Queries, Tokens


class CrossAttentionFusion(nn.Module):
    """One block of attention from cells to tokens with a learned distance bias, and a feed-forward layer.

    A gridded modality's own pixel joins the cell's query, and the modality's "missing" where it was not seen.
    """

    def __init__(self, modalities: tuple[str, ...], width: int, heads: int) -> None:
        super().__init__()
        self.modalities = modalities
        self.kind = nn.ParameterDict({name: nn.Parameter(0.1 * torch.randn(width)) for name in modalities})
        self.own = nn.ModuleDict({name: nn.Linear(width, width) for name in modalities})
        self.missing = nn.ParameterDict({name: nn.Parameter(torch.zeros(width)) for name in modalities})
        self.norm = nn.LayerNorm(width)
        self.attention = GeometryAttention(width, heads)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, tokens: Mapping[str, Tokens], queries: Queries) -> Float[Tensor, "batch cell width"]:
        """Return one embedding per cell."""
        fused = queries.context
        for name in self.modalities:
            own, own_mask = tokens[name].own, tokens[name].own_mask
            if own is not None and own_mask is not None:
                seen = own_mask.float()[..., None]
                fused = fused + self.own[name](own) * seen + self.missing[name] * (1.0 - seen)
        embedding = torch.cat([tokens[name].embedding + self.kind[name] for name in self.modalities], dim=1)
        mask = torch.cat([tokens[name].mask for name in self.modalities], dim=1)
        batch = embedding.shape[0]
        position = torch.cat([tokens[name].position.expand(batch, -1, -1) for name in self.modalities], dim=1)
        fused = fused + self.attention(self.norm(fused), queries.position, embedding, mask, position)
        result: Tensor = fused + self.feed_forward(fused)
        return result
