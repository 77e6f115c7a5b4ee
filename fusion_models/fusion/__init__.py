"""Fusion by name: a mapping of modality to Tokens and the query cells -> one embedding per cell."""

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor, nn

from fusion_models.config import ModelConfig
from fusion_models.fusion.concat import ConcatFusion
from fusion_models.fusion.cross_attention import CrossAttentionFusion
from fusion_models.fusion.gated import GatedFusion
from fusion_models.tokens import Queries, Tokens


class Fusion(Protocol):
    """What every fusion promises."""

    def __call__(self, tokens: Mapping[str, Tokens], queries: Queries) -> Tensor:
        """Return (batch, cell, width); a modality whose tokens are all masked is worth its learned "missing"."""
        ...


def make_fusion(config: ModelConfig) -> nn.Module:
    """Return a fresh fusion of the kind that `config` names."""
    if config.kind == "concat":
        return ConcatFusion(config.modalities, config.width)
    if config.kind == "gated":
        return GatedFusion(config.modalities, config.width)
    return CrossAttentionFusion(config.modalities, config.width, config.heads)
