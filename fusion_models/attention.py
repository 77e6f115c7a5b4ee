"""Attention that knows distances: nearer tokens count more, by a learned rate for each head."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

_HIDDEN = -1e9  # finite, so that a row of masked tokens gives numbers and no NaN gradient


class GeometryAttention(nn.Module):
    """Multi-head attention with the bias -softplus(slope) * distance (100 km), and a null token that is always there.

    With no token observed a query attends to the null token alone, whose learned value says "nothing here".
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width!r} is not a multiple of the number of heads {heads!r}")
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.null = nn.Parameter(torch.zeros(width))
        # From nearly global to a few cells wide.
        self.slope = nn.Parameter(torch.linspace(0.0, 4.0, heads))

    def forward(
        self,
        query: Float[Tensor, "batch query width"],
        query_position: Float[Tensor, "#batch query 2"],
        token: Float[Tensor, "batch token width"],
        token_mask: Bool[Tensor, "batch token"],
        token_position: Float[Tensor, "#batch token 2"],
    ) -> Float[Tensor, "batch query width"]:
        """Return what each query reads from the observed tokens."""
        batch, n_query, width = query.shape
        keys_values = self.key_value(torch.cat([self.null.expand(batch, 1, width), token], dim=1))
        key, value = (self._split(part) for part in keys_values.chunk(2, dim=-1))
        slope = functional.softplus(self.slope)[:, None, None]
        near = -slope * distance(query_position, token_position)[:, None]
        bias = near + torch.where(token_mask, 0.0, _HIDDEN)[:, None, None, :]
        bias = functional.pad(bias, (1, 0))
        read = functional.scaled_dot_product_attention(self._split(self.query(query)), key, value, attn_mask=bias)
        return self.out(read.transpose(1, 2).reshape(batch, n_query, width))

    def _split(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        return x.reshape(batch, length, self.heads, width // self.heads).transpose(1, 2)


def distance(
    a: Float[Tensor, "#batch query 2"], b: Float[Tensor, "#batch token 2"]
) -> Float[Tensor, "batch query token"]:
    """Return distances, 100 km, in the local plane; its gradient is not needed (positions are data)."""
    return torch.linalg.vector_norm(a[:, :, None] - b[:, None, :], dim=-1)
