"""Daily waveform features of each seismometer."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from fusion_models.tokens import Tokens

_TIMES = 3


class WaveformEncoder(nn.Module):
    """CNN over (time, feature), shared by all stations; one token per station."""

    def __init__(self, n_features: int, channels: int, width: int) -> None:
        super().__init__()
        half = max(1, channels // 2)
        self.convolutions = nn.Sequential(
            nn.Conv2d(2, half, (5, 3), stride=(2, 1), padding=(2, 1)),
            nn.GELU(),
            nn.Conv2d(half, channels, (5, 3), stride=(2, 1), padding=(2, 1)),
            nn.GELU(),
        )
        self.out = nn.Linear(channels * _TIMES * n_features, width)
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        values: Float[Tensor, "batch time station feature"],
        mask: Bool[Tensor, "batch time station feature"],
        positions: Float[Tensor, "#batch station 2"],
    ) -> Tokens:
        """Return a token per station; their order is that of the input and changes nothing else."""
        batch, n_days, n_stations, n_features = values.shape
        frames = torch.stack([values, mask.float()], dim=1).permute(0, 3, 1, 2, 4)
        features = self.convolutions(frames.reshape(batch * n_stations, 2, n_days, n_features))
        pooled = functional.adaptive_avg_pool2d(features, (_TIMES, n_features))
        embedding = self.norm(self.out(pooled.flatten(1))).reshape(batch, n_stations, -1)
        seen = mask.any(dim=(1, 3))
        return Tokens(embedding * seen[..., None], seen, positions)
