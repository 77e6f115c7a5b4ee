"""Seismicity: catalog statistics, and the traditional forecasters that a network has to beat."""

from tasks.seismicity.catalog import Events, known_at, select_events
from tasks.seismicity.completeness import Estimate, b_positive, b_value, magnitude_step
from tasks.seismicity.completeness_methods import magnitude_of_completeness
from tasks.seismicity.ensemble import StackedForecaster, fit_ensemble
from tasks.seismicity.etas import EtasModel, EtasParameters, fit_etas
from tasks.seismicity.etas_forecast import EtasForecaster
from tasks.seismicity.forecaster import HORIZONS, CatalogView, StationaryForecaster
from tasks.seismicity.geometry import Plane, cell_areas
from tasks.seismicity.rj_forecast import ReasenbergJonesForecaster, fit_reasenberg_jones
from tasks.seismicity.smoothing import fit_poisson, fit_smoothed

__all__ = [
    "HORIZONS",
    "CatalogView",
    "Estimate",
    "EtasForecaster",
    "EtasModel",
    "EtasParameters",
    "Events",
    "Plane",
    "ReasenbergJonesForecaster",
    "StackedForecaster",
    "StationaryForecaster",
    "b_positive",
    "b_value",
    "cell_areas",
    "fit_ensemble",
    "fit_etas",
    "fit_poisson",
    "fit_reasenberg_jones",
    "fit_smoothed",
    "known_at",
    "magnitude_of_completeness",
    "magnitude_step",
    "select_events",
]
