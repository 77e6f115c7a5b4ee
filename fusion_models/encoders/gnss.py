"""Daily positions of GNSS stations."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from fusion_models.attention import GeometryAttention
from fusion_models.tokens import Tokens

_TIMES = 4


class GnssEncoder(nn.Module):
    """Temporal CNN shared by all stations, then attention among them by distance; one token per station.

    Motion common to near stations is signal and motion of one alone is noise: only the attention can tell.
    """

    def __init__(self, n_variables: int, channels: int, width: int, heads: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv1d(2 * n_variables, channels, 7, stride=3, padding=3),
            nn.GELU(),
            nn.Conv1d(channels, channels, 5, stride=2, padding=2),
            nn.GELU(),
        )
        self.out = nn.Linear(channels * _TIMES, width)
        self.attention = GeometryAttention(width, heads)
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        values: Float[Tensor, "batch time station variable"],
        mask: Bool[Tensor, "batch time station variable"],
        positions: Float[Tensor, "#batch station 2"],
    ) -> Tokens:
        """Return a token per station; their order is that of the input and changes nothing else."""
        batch, n_days, n_stations, n_variables = values.shape
        series = torch.cat([values, mask.float()], dim=-1).permute(0, 2, 3, 1)
        features = self.convolutions(series.reshape(batch * n_stations, 2 * n_variables, n_days))
        pooled = functional.adaptive_avg_pool1d(features, _TIMES)
        alone = self.out(pooled.flatten(1)).reshape(batch, n_stations, -1)
        seen = mask.any(dim=(1, 3))
        together = alone + self.attention(alone, positions, alone, seen, positions)
        return Tokens(self.norm(together) * seen[..., None], seen, positions)
