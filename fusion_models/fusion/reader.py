"""How one cell reads one modality: its own pixel, and the tokens around it by a learned distance kernel."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusion_models.attention import distance
from fusion_models.tokens import Queries, Tokens

_LENGTHS_100KM = (0.15, 0.6)


class CellReader(nn.Module):
    """Kernel-weighted mean of the observed tokens at two learned lengths, plus the cell's own pixel if there is one.

    Where no token is observed, a learned embedding for "missing" stands in.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.log_length = nn.Parameter(torch.tensor([math.log(length) for length in _LENGTHS_100KM]))
        # One column per length says how much was seen there: a mean of nothing must not look like a mean of zero.
        self.around = nn.Linear(len(_LENGTHS_100KM) * (width + 1), width)
        self.own = nn.Linear(width, width)
        self.missing = nn.Parameter(torch.zeros(width))

    def forward(self, tokens: Tokens, queries: Queries) -> Float[Tensor, "batch cell width"]:
        """Return what each cell reads."""
        squared = distance(queries.position, tokens.position).square()
        weight = tokens.mask.float()[..., None]
        pooled = []
        for log_length in self.log_length:
            kernel = torch.exp(-0.5 * squared * torch.exp(-2.0 * log_length))
            kernel = kernel.expand(weight.shape[0], -1, -1)
            total, count = kernel @ (tokens.embedding * weight), kernel @ weight
            pooled += [total / (count + 1e-3), count / (count + 1.0)]
        read = self.around(torch.cat(pooled, dim=-1))
        if tokens.own is not None and tokens.own_mask is not None:
            read = read + self.own(tokens.own) * tokens.own_mask[..., None]
        observed = tokens.mask.any(dim=1)[:, None, None]
        return torch.where(observed, read, self.missing)
