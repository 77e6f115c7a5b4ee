"""One sample: what a view shows, as arrays of fixed layout in which NaN marks what is missing."""

from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fusion_models.data import inputs
from fusion_models.data.asof import View
from fusion_models.data.spec import SampleSpec

Reader = Callable[[SampleSpec, View], tuple[NDArray[np.floating], NDArray[np.float64]]]
READERS: Final[dict[str, Reader]] = {
    "events": inputs.events,
    "waveform": inputs.waveform,
    "gnss": inputs.gnss,
    "strain": inputs.strain,
    "insar": inputs.insar,
    "weather": inputs.weather,
}


def sample_arrays(spec: SampleSpec, view: View, rates: NDArray[np.float64]) -> dict[str, NDArray[np.float32]]:
    """Return one sample: `<modality>.values`, `<modality>.positions` and the same for `cells`.

    Parameters
    ----------
    view : View
        Nothing else is looked at.
    rates : (horizon, lat, lon)
        Baseline's expected counts, >= 0.

    Returns
    -------
    dict of float32 arrays
        events (event, variable) oldest first; waveform and gnss (time, station, variable), gnss in m less the
        window's mean; strain (1, lat, lon, variable); insar (pair, lat, lon, variable); weather
        (time, coarse lat, coarse lon, variable); cells (lat, lon, variable). Positions (token, 2); for rasters
        (lat * lon, 2). NaN is missing; positions are never NaN.
    """
    arrays: dict[str, NDArray[np.float32]] = {}
    for name in spec.modalities:
        values, positions = READERS[name](spec, view)
        arrays[f"{name}.values"] = values.astype(np.float32)
        arrays[f"{name}.positions"] = np.nan_to_num(positions).astype(np.float32)
    arrays["cells.values"] = inputs.cells(spec, view, rates).astype(np.float32)
    arrays["cells.positions"] = inputs.cell_positions(spec).reshape(-1, 2).astype(np.float32)
    return arrays


def stack_samples(
    spec: SampleSpec, views: Iterable[View], rates: NDArray[np.float64]
) -> dict[str, NDArray[np.floating]]:
    """Return the samples of several views of one cube with a leading batch axis, and `baseline_rates` (float64).

    Parameters
    ----------
    views : iterable of View
        As many as `rates` has entries; they must come from one cube, so that stations agree.
    rates : (view, horizon, lat, lon)
        Baseline's expected counts.

    Raises
    ------
    ValueError
        If the numbers of views and rates differ, or the rates do not fit the grid, or are negative or NaN.
    """
    expected = (len(spec.horizons), *spec.n_cells)
    if rates.ndim != 4 or rates.shape[1:] != expected:
        raise ValueError(f"baseline rates: expected (view, {expected}), found {rates.shape}")
    if not (np.isfinite(rates).all() and (rates >= 0).all()):
        raise ValueError("baseline rates: expected finite values >= 0, found NaN, infinite or negative ones")
    samples = [sample_arrays(spec, view, rate) for view, rate in zip(views, rates, strict=True)]
    arrays: dict[str, NDArray[np.floating]] = {}
    for name in samples[0] if samples else ():
        arrays[name] = np.stack([sample[name] for sample in samples])
    arrays["baseline_rates"] = np.asarray(rates, dtype=np.float64)
    return arrays
