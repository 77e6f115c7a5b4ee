"""The forecast head: a bounded correction of the log rate of ETAS, zero until trained."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class LogRateHead(nn.Module):
    """Return delta with rate = ETAS rate * exp(delta), |delta| <= bound, per horizon.

    The last layer starts at zero, so the untrained network IS ETAS, exactly.
    """

    def __init__(self, width: int, n_horizons: int, bound: float) -> None:
        super().__init__()
        self.bound = bound
        self.hidden = nn.Sequential(nn.GELU(), nn.Linear(width, width), nn.GELU())
        self.out = nn.Linear(width, n_horizons)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, embedding: Float[Tensor, "batch cell width"]) -> Float[Tensor, "batch horizon cell"]:
        """Return the log corrections."""
        raw = self.out(self.hidden(embedding)).transpose(1, 2)
        return self.bound * torch.tanh(raw / self.bound)
