"""The traditional forecasters of a region, fitted together and kept as JSON."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from tasks.regions import Region
from tasks.seismicity.ensemble import StackedForecaster, fit_ensemble
from tasks.seismicity.etas import EtasModel, fit_etas
from tasks.seismicity.etas_forecast import EtasForecaster
from tasks.seismicity.forecaster import StationaryForecaster
from tasks.seismicity.geometry import on_cells
from tasks.seismicity.rj_forecast import ReasenbergJonesForecaster, fit_reasenberg_jones
from tasks.seismicity.smoothing import fit_poisson, fit_smoothed


class Baselines(NamedTuple):
    """Uniform Poisson, smoothed seismicity, Reasenberg-Jones, ETAS, ETAS-I, and the five stacked."""

    poisson: StationaryForecaster
    smoothed: StationaryForecaster
    reasenberg_jones: ReasenbergJonesForecaster
    etas: EtasForecaster
    etas_i: EtasForecaster
    ensemble: StackedForecaster

    @classmethod
    def fit(cls, catalog: xr.Dataset, region: Region) -> "Baselines":
        """Fit all on the versions (event) known at the end of training, the ensemble's weights on validation."""
        etas = fit_etas(catalog, region)
        members = (
            fit_poisson(catalog, region),
            fit_smoothed(catalog, region),
            fit_reasenberg_jones(catalog, region),
            EtasForecaster(etas, region),
            EtasForecaster(fit_etas(catalog, region, sees_less=True, start=etas), region),
        )
        return cls(*members, fit_ensemble(catalog, region, members))

    def save(self, folder: Path) -> None:
        """Write each forecaster's JSON into `folder`; both stationary ones are in one file."""
        folder.mkdir(parents=True, exist_ok=True)
        rates = {f.name: f.rate_per_day.values.tolist() for f in (self.poisson, self.smoothed)}
        (folder / "stationary.json").write_text(json.dumps(rates))
        (folder / "reasenberg_jones.json").write_text(self.reasenberg_jones.to_json())
        for forecaster in (self.etas, self.etas_i):
            (folder / f"{forecaster.name}.json").write_text(forecaster.model.to_json())
        (folder / "ensemble.json").write_text(self.ensemble.to_json())

    @classmethod
    def load(cls, folder: Path, region: Region) -> "Baselines":
        """Return what `save` wrote for the same region."""
        rates = json.loads((folder / "stationary.json").read_text())
        poisson, smoothed = (
            StationaryForecaster(name, on_cells(np.asarray(rates[name]), region))
            for name in ("poisson", "smoothed")
        )
        jones = ReasenbergJonesForecaster.from_json((folder / "reasenberg_jones.json").read_text(), region)
        members = (poisson, smoothed, jones, load_etas(folder, region), load_etas(folder, region, "etas_i"))
        ensemble = StackedForecaster.from_json((folder / "ensemble.json").read_text(), members)
        return cls(*members, ensemble)


def load_etas(folder: Path, region: Region, name: str = "etas") -> EtasForecaster:
    """Return ETAS, or `etas_i`, of the baselines saved in `folder`."""
    return EtasForecaster(EtasModel.from_json((folder / f"{name}.json").read_text()), region)
