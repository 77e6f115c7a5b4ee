"""What leaves training: weights (safetensors) and one JSON file; forecasts from it need no tracker and no pickle."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import load_file, save_file

from fusion_models.config import ModelConfig, TrainingConfig
from fusion_models.data.batches import take, to_inputs
from fusion_models.data.spec import SampleSpec
from fusion_models.network import FusionNetwork, hide
from fusion_models.scaling import Scaling

WEIGHTS: Final = "model.safetensors"
CARD: Final = "bundle.json"
_BATCH: Final = 64


class BundleCard(BaseModel):
    """Everything about a trained network but its weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: ModelConfig = Field(description="the network")
    training: TrainingConfig = Field(description="how it was trained")
    spec: SampleSpec = Field(description="layout of samples: variables, windows, grid, horizons")
    scaling: Scaling = Field(description="from the training split only")
    shrinkage: tuple[float, ...] = Field(
        description="share of the log correction believed, per horizon; 0 is ETAS"
    )
    dispersion: tuple[float, ...] = Field(
        description="per horizon, of validation counts: variance rate + dispersion rate^2; empty is the Poisson law"
    )
    n_stations: dict[str, int] = Field(description="stations in training, by modality")
    region: str = Field(description="region of the cube")
    snapshot: str = Field(description="cube snapshot trained on")
    provenance: dict[str, str] = Field(description="commit, hash of the baseline's parameters, and the like")
    fingerprint: str = Field(description="hash of all that training depends on")
    history: tuple[dict[str, float], ...] = Field(description="metrics of every epoch")


class Bundle(NamedTuple):
    """A trained network, ready to forecast."""

    card: BundleCard
    network: FusionNetwork


def save_bundle(path: Path, bundle: Bundle) -> Path:
    """Write `bundle` into the folder `path`; the card goes last, so that a folder with a card is complete."""
    path.mkdir(parents=True, exist_ok=True)
    (path / CARD).unlink(missing_ok=True)
    save_file({k: v.contiguous() for k, v in bundle.network.state_dict().items()}, path / WEIGHTS)
    partial = path / f"{CARD}.partial"
    partial.write_text(json.dumps(bundle.card.model_dump(mode="json"), indent=1))
    partial.replace(path / CARD)
    return path


def load_bundle(path: Path) -> Bundle:
    """Return the bundle in the folder `path`.

    Raises
    ------
    FileNotFoundError
        If card or weights are missing; the message names the file.
    ValueError
        If the card is not valid.
    """
    for name in (CARD, WEIGHTS):
        if not (path / name).is_file():
            raise FileNotFoundError(f"{path / name}: expected a file of a model bundle, found none")
    try:
        card = BundleCard.model_validate_json((path / CARD).read_text())
    except ValidationError as error:
        raise ValueError(f"{path / CARD}: not a valid bundle: {error}") from error
    network = FusionNetwork(card.model, card.spec)
    network.load_state_dict(load_file(path / WEIGHTS))
    return Bundle(card, network.eval())


def predict_batch(
    bundle: Bundle, arrays: Mapping[str, NDArray[np.generic]], without: Sequence[str] = ()
) -> NDArray[np.float64]:
    """Return expected counts (sample, horizon, lat, lon) for sample arrays with a leading sample axis.

    Parameters
    ----------
    arrays : mapping
        As `stack_samples` gives them: `<modality>.values` (NaN missing), `<modality>.positions`, `baseline_rates`.
    without : sequence of str
        Kinds of providers to hide (`seismic`, `gnss`, `insar`, `weather`).

    Raises
    ------
    ValueError
        If an array is missing.
    KeyError
        If a kind of provider is unknown.
    """
    if "baseline_rates" not in arrays:
        raise ValueError(f"expected the array 'baseline_rates', found {sorted(arrays)}")
    card = bundle.card
    rates = np.asarray(arrays["baseline_rates"], dtype=np.float64)
    inputs = to_inputs(arrays, card.scaling, card.spec)
    for kind in without:
        inputs = hide(inputs, card.spec, kind, torch.ones(len(rates), dtype=torch.bool))
    deltas = [np.zeros((0, *rates.shape[1:]))]
    with torch.inference_mode():
        for start in range(0, len(rates), _BATCH):
            delta = bundle.network(take(inputs, slice(start, start + _BATCH)))
            deltas.append(delta.numpy().astype(np.float64))
    shrinkage = np.asarray(card.shrinkage)[:, None, None]
    believed = shrinkage * card.scaling.support(rates)
    predicted: NDArray[np.float64] = rates * np.exp(believed * np.concatenate(deltas))
    return predicted


def example_inputs(bundle: Bundle) -> dict[str, NDArray[np.floating]]:
    """Return one valid sample of the declared shapes: typical values everywhere, a baseline of 0.001 events a cell."""
    card = bundle.card
    spec, days = card.spec, card.spec.lookback_days
    n_lat, n_lon = spec.n_cells
    coarse = (min(spec.coarse_cells, n_lat), min(spec.coarse_cells, n_lon))
    axes: dict[str, tuple[tuple[int, ...], int]] = {
        "events": ((spec.n_events,), spec.n_events),
        "strain": ((1, n_lat, n_lon), n_lat * n_lon),
        "insar": ((spec.n_pairs, n_lat, n_lon), n_lat * n_lon),
        "weather": ((days["weather"], *coarse), coarse[0] * coarse[1]),
        "cells": ((n_lat, n_lon), n_lat * n_lon),
    }
    for name in ("waveform", "gnss"):
        stations = card.n_stations.get(name, 1)
        axes[name] = ((days[name], stations), stations)
    arrays: dict[str, NDArray[np.floating]] = {}
    for name in (*spec.modalities, "cells"):
        shape, places = axes[name]
        typical = np.asarray(card.scaling.centre[name], dtype=np.float32)
        arrays[f"{name}.values"] = np.broadcast_to(typical, (1, *shape, typical.size)).copy()
        arrays[f"{name}.positions"] = np.zeros((1, places, 2), dtype=np.float32)
    arrays["baseline_rates"] = np.full((1, len(spec.horizons), n_lat, n_lon), 1e-3)
    return arrays
