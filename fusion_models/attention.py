"""Attention that knows distances: nearer tokens count more, by a learned rate for each head."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

_HIDDEN = -1e4  # finite, so that a row of masked tokens gives numbers and no NaN gradient
_RATES = (0.5, 20.0)  # exp(-rate * distance^2): a width of 100 km, and one of 16 km
_EXTRA = 4


class GeometryAttention(nn.Module):
    """Multi-head attention with the bias -rate * distance^2 (100 km), and a null token that is always there.

    With no token observed a query attends to the null token alone, whose learned value says "nothing here".

    The bias is a scalar product, -rate |q - t|^2 = 2 rate q.t - rate |t|^2 - rate |q|^2, and so are the mask and
    the null token's freedom of the bias: four more entries in queries and keys carry it all, and no (query, token)
    matrix has to be stored for the gradient.
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
        self.log_rate = nn.Parameter(torch.linspace(math.log(_RATES[0]), math.log(_RATES[1]), heads))

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
        size = width // self.heads
        rate = torch.exp(self.log_rate)[:, None, None]
        here, there = query_position[:, None], token_position[:, None]
        one = torch.ones_like(here[..., :1])
        asked = torch.cat([here, one, here.square().sum(-1, keepdim=True)], dim=-1)
        hidden = torch.where(token_mask, 0.0, _HIDDEN)[:, None, :, None]
        far = there.square().sum(-1, keepdim=True)
        # The null token: no place, no distance; it gets back the -rate |q|^2 that softmax drops for all others.
        offered = torch.cat(
            [
                (2 * rate * there).expand(batch, -1, -1, -1),
                hidden - rate * far,
                torch.zeros_like(hidden).expand(-1, self.heads, -1, -1),
            ],
            dim=-1,
        )
        null = functional.pad(rate.expand(self.heads, 1, 1), (_EXTRA - 1, 0)).expand(batch, -1, -1, -1)
        scaled = self._split(self.query(query)) / math.sqrt(size)
        read = functional.scaled_dot_product_attention(
            torch.cat([scaled, asked.expand(batch, self.heads, -1, -1)], dim=-1),
            torch.cat([key, torch.cat([null, offered], dim=2)], dim=-1),
            functional.pad(value, (0, _EXTRA)),
            scale=1.0,
        )[..., :size]
        result: Tensor = self.out(read.transpose(1, 2).reshape(batch, n_query, width))
        return result

    def _split(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        return x.reshape(batch, length, self.heads, width // self.heads).transpose(1, 2)


def squared_distance(
    a: Float[Tensor, "#batch query 2"], b: Float[Tensor, "#batch token 2"]
) -> Float[Tensor, "batch query token"]:
    """Return squared distances, (100 km)^2, in the local plane."""
    return (a[:, :, None] - b[:, None, :]).square().sum(dim=-1)
