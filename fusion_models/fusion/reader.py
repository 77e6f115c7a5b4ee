"""How one cell reads one modality: its own pixel, and the tokens around it by a learned distance kernel."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusion_models.attention import squared_distance
from fusion_models.tokens import Queries, Tokens

_LENGTHS_100KM = (0.15, 0.6)


class CellReader(nn.Module):
    """Kernel-weighted mean of the observed tokens at two learned lengths, plus the cell's own pixel if there is one.

    Where no token is observed, a learned embedding for "missing" stands in.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.log_length = nn.Parameter(torch.tensor([math.log(length) for length in _LENGTHS_100KM]))
        # Two means of the embeddings, and for each how much was seen: a mean of nothing must not look like one of zero.
        self.around = nn.ModuleList([nn.Linear(width, width, bias=False) for _ in _LENGTHS_100KM])
        self.share = nn.Linear(len(_LENGTHS_100KM), width)
        self.own = nn.Linear(width, width)
        self.missing = nn.Parameter(torch.zeros(width))

    def forward(self, tokens: Tokens, queries: Queries) -> Float[Tensor, "batch cell width"]:
        """Return what each cell reads."""
        squared = squared_distance(queries.position, tokens.position)
        weight = tokens.mask.float()[..., None]
        counts, means = [], []
        for log_length, around in zip(self.log_length, self.around, strict=True):
            kernel = torch.exp(-0.5 * squared * torch.exp(-2.0 * log_length)).expand(len(weight), -1, -1)
            # Projected before the mean, which is linear too: there are fewer tokens than cells.
            total = kernel @ torch.cat([around(tokens.embedding) * weight, weight], dim=-1)
            count = total[..., -1:]
            means.append(total[..., :-1] / (count + 1e-3))
            counts.append(count / (count + 1.0))
        read: Tensor = sum(means, start=self.share(torch.cat(counts, dim=-1)))
        if tokens.own is not None and tokens.own_mask is not None:
            read = read + self.own(tokens.own) * tokens.own_mask[..., None]
        observed = tokens.mask.any(dim=1).float()[:, None, None]
        return read * observed + self.missing * (1.0 - observed)
