"""How gridded groups are cut for training windows: few chunks a window, each large enough to be worth asking for."""

from typing import Final

import numpy as np
from zarr.codecs import BloscCodec, BloscShuffle

CHUNK_DAYS: Final = 128
CHUNK_CELLS: Final = 64
# Noise does not shrink, and LZ4 then costs next to nothing; missing days, sea and empty cells shrink a hundredfold.
GRID_COMPRESSOR: Final = BloscCodec(cname="lz4", clevel=5, shuffle=BloscShuffle.shuffle)


def grid_chunks(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the chunks of a (time, lat, lon) array: 128 days, and equal parts of at most 64 cells along lat and lon.

    A window of up to 128 days and half as many cells as a part (32 from a grid of 64 on) crosses at most one
    boundary an axis. Asking Icechunk for a chunk costs about 1.5 ms however small it is, so that chunks below
    about 1 MB are slower to read than what they save. The time axis does not depend on how much was stored
    first: a cube that grows keeps its chunks.
    """
    return (CHUNK_DAYS, *(int(np.ceil(n / np.ceil(n / CHUNK_CELLS))) for n in shape[1:]))
