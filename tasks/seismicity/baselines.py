"""The three traditional forecasters of a region, fitted together and kept as JSON."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from tasks.regions import Region
from tasks.seismicity.etas import EtasModel, fit_etas
from tasks.seismicity.etas_forecast import EtasForecaster
from tasks.seismicity.forecaster import StationaryForecaster
from tasks.seismicity.geometry import on_cells
from tasks.seismicity.smoothing import fit_poisson, fit_smoothed


class Baselines(NamedTuple):
    """Uniform Poisson, smoothed seismicity and ETAS."""

    poisson: StationaryForecaster
    smoothed: StationaryForecaster
    etas: EtasForecaster

    @classmethod
    def fit(cls, catalog: xr.Dataset, region: Region) -> "Baselines":
        """Fit all three on the versions (event) known at the end of training."""
        return cls(
            fit_poisson(catalog, region),
            fit_smoothed(catalog, region),
            EtasForecaster(fit_etas(catalog, region), region),
        )

    def save(self, folder: Path) -> None:
        """Write `etas.json` and `stationary.json` into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "etas.json").write_text(self.etas.model.to_json())
        rates = {f.name: f.rate_per_day.values.tolist() for f in (self.poisson, self.smoothed)}
        (folder / "stationary.json").write_text(json.dumps(rates))

    @classmethod
    def load(cls, folder: Path, region: Region) -> "Baselines":
        """Return what `save` wrote for the same region."""
        rates = json.loads((folder / "stationary.json").read_text())
        poisson, smoothed = (
            StationaryForecaster(name, on_cells(np.asarray(rates[name]), region))
            for name in ("poisson", "smoothed")
        )
        model = EtasModel.from_json((folder / "etas.json").read_text())
        return cls(poisson, smoothed, EtasForecaster(model, region))
