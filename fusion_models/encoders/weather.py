"""Weather of the last weeks on a coarse grid."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fusion_models.tokens import Tokens


class WeatherEncoder(nn.Module):
    """CNN on each day's map, then an LSTM over the days at each coarse cell (CNN-LSTM); one token per coarse cell."""

    def __init__(self, n_variables: int, channels: int, width: int) -> None:
        super().__init__()
        self.convolution = nn.Sequential(nn.Conv2d(2 * n_variables, channels, 3, padding=1), nn.GELU())
        self.lstm = nn.LSTM(channels, channels, batch_first=True)
        self.out = nn.Linear(channels, width)
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        values: Float[Tensor, "batch time lat lon variable"],
        mask: Bool[Tensor, "batch time lat lon variable"],
        positions: Float[Tensor, "#batch token 2"],
    ) -> Tokens:
        """Return a token per coarse cell; one without a value on any day is masked."""
        batch, n_days, n_lat, n_lon, _ = values.shape
        frames = torch.cat([values, mask.float()], dim=-1).flatten(0, 1).permute(0, 3, 1, 2)
        features = self.convolution(frames).reshape(batch, n_days, -1, n_lat * n_lon)
        series = features.permute(0, 3, 1, 2).flatten(0, 1)
        _, (state, _) = self.lstm(series)
        embedding = self.norm(self.out(state[-1])).reshape(batch, n_lat * n_lon, -1)
        seen = mask.any(dim=(1, 4)).flatten(1)
        return Tokens(embedding * seen[..., None], seen, positions)
