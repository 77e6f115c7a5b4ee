"""The two tuples that encoders take and give; everything between encoders and fusion speaks them."""

from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor


class Inputs(NamedTuple):
    """Scaled values of one modality.

    values : (batch, ..., variable), 0 where missing
    mask : as values, True where observed
    positions : (batch or 1, place, 2), north and east of the region's centre, 100 km
    """

    values: Float[Tensor, "..."]
    mask: Bool[Tensor, "..."]
    positions: Float[Tensor, "#batch place 2"]


class Tokens(NamedTuple):
    """Embeddings with a place each; a masked token's embedding is 0.

    `own` and `own_mask` are there for modalities on the cells' grid: the embedding of each cell's own pixel, so that
    what a raster shows reaches its own cell without being blurred.
    """

    embedding: Float[Tensor, "batch token width"]
    mask: Bool[Tensor, "batch token"]
    position: Float[Tensor, "#batch token 2"]
    own: Float[Tensor, "batch cell width"] | None = None
    own_mask: Bool[Tensor, "batch cell"] | None = None


class Queries(NamedTuple):
    """The cells that ask: what is known of each, and where it is."""

    context: Float[Tensor, "batch cell width"]
    position: Float[Tensor, "#batch cell 2"]
