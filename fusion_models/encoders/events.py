"""The latest events as a sequence."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fusion_models.tokens import Tokens


class EventEncoder(nn.Module):
    """LSTM over the events, oldest first; one token per event, at its epicentre."""

    def __init__(self, n_variables: int, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2 * n_variables, width, batch_first=True)
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        values: Float[Tensor, "batch event variable"],
        mask: Bool[Tensor, "batch event variable"],
        positions: Float[Tensor, "#batch event 2"],
    ) -> Tokens:
        """Return a token per event; padding is masked."""
        state, _ = self.lstm(torch.cat([values, mask.float()], dim=-1))
        seen = mask.any(dim=-1)
        return Tokens(self.norm(state) * seen[..., None], seen, positions)
