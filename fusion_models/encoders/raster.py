"""Maps on the cells' grid: interferograms and strain rate."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from fusion_models.tokens import Tokens


class RasterEncoder(nn.Module):
    """CNN on each frame, mean over the frames that see a pixel, own pixel for each cell and coarse tokens for all.

    The convolutions know no absolute place, so what is learned at one fault holds at the next.
    """

    def __init__(self, n_variables: int, channels: int, width: int, coarse_cells: int) -> None:
        super().__init__()
        self.coarse_cells = coarse_cells
        self.convolutions = nn.Sequential(
            nn.Conv2d(2 * n_variables, channels, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(channels, width, 1),
        )
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        values: Float[Tensor, "batch frame lat lon variable"],
        mask: Bool[Tensor, "batch frame lat lon variable"],
        positions: Float[Tensor, "#batch cell 2"],
    ) -> Tokens:
        """Return coarse tokens, and `own` with each cell's pixel; a pixel seen in no frame is masked."""
        batch, n_frames, n_lat, n_lon, _ = values.shape
        stacked = torch.cat([values, mask.float()], dim=-1).flatten(0, 1).permute(0, 3, 1, 2)
        features = self.convolutions(stacked).reshape(batch, n_frames, -1, n_lat, n_lon)
        seen = mask.any(dim=-1)
        weight = seen.float()[:, :, None]
        mean = (features * weight).sum(1) / weight.sum(1).clamp(min=1.0)
        observed = seen.any(dim=1)
        pixels = self.norm(mean.permute(0, 2, 3, 1)) * observed[..., None]
        size = (min(self.coarse_cells, n_lat), min(self.coarse_cells, n_lon))
        share = functional.adaptive_avg_pool2d(observed.float()[:, None], size)
        pooled = functional.adaptive_avg_pool2d(pixels.permute(0, 3, 1, 2), size) / share.clamp(min=1e-6)
        grid = positions.reshape(positions.shape[0], n_lat, n_lon, 2).permute(0, 3, 1, 2)
        place = functional.adaptive_avg_pool2d(grid, size).flatten(2).transpose(1, 2)
        return Tokens(
            pooled.flatten(2).transpose(1, 2),
            share.flatten(1) > 0,
            place,
            pixels.flatten(1, 2),
            observed.flatten(1),
        )
