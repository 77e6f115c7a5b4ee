"""From sample arrays to scaled tensors; training and forecasting use the same lines."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusion_models.data.spec import SampleSpec
from fusion_models.scaling import Scaling
from fusion_models.tokens import Inputs


def to_inputs(
    arrays: Mapping[str, NDArray[np.generic]], scaling: Scaling, spec: SampleSpec
) -> dict[str, Inputs]:
    """Return scaled inputs (batch first) of each modality and `cells`.

    Positions that agree in the whole batch are kept once, (1, place, 2): distances are then worked out once.

    Raises
    ------
    ValueError
        If an array is missing; the message names it.
    """
    inputs: dict[str, Inputs] = {}
    for name in (*spec.modalities, "cells"):
        for key in (f"{name}.values", f"{name}.positions"):
            if key not in arrays:
                raise ValueError(f"expected the array {key!r}, found {sorted(arrays)}")
        scaled, mask = scaling.apply(name, np.asarray(arrays[f"{name}.values"], dtype=np.float32))
        positions = np.asarray(arrays[f"{name}.positions"], dtype=np.float32)
        if (positions == positions[:1]).all():
            positions = positions[:1]
        inputs[name] = Inputs(
            torch.from_numpy(scaled), torch.from_numpy(mask), torch.from_numpy(positions.copy())
        )
    return inputs


def take(inputs: Mapping[str, Inputs], rows: Tensor | Sequence[int] | slice) -> dict[str, Inputs]:
    """Return the samples `rows` of `inputs`."""
    return {
        name: Inputs(part.values[rows], part.mask[rows], _rows(part.positions, rows))
        for name, part in inputs.items()
    }


def _rows(positions: Tensor, rows: Tensor | Sequence[int] | slice) -> Tensor:
    return positions if positions.shape[0] == 1 else positions[rows]
