"""A cube from observations: every modality that has some becomes its groups; the others are absent."""

import json
import logging
from collections.abc import Callable, Mapping
from typing import Final

import xarray as xr
from dask.base import compute

from tasks.cubes.catalog_grid import grid_catalog, label_days
from tasks.cubes.gnss import clean_gnss
from tasks.cubes.insar import grid_interferograms
from tasks.cubes.los import with_gnss_rates
from tasks.cubes.merge import merge_catalogs
from tasks.cubes.static import grid_static
from tasks.cubes.strain import strain_rates
from tasks.cubes.waveform import daily_waveform_features
from tasks.cubes.weather import grid_weather
from tasks.regions import Region

logger = logging.getLogger(__name__)
MEMORY_BYTES: Final = 1 << 30
Read = Callable[[str], xr.Dataset | None]
Sources = Mapping[str, xr.Dataset]
Groups = dict[str, xr.Dataset]


def _catalog(sources: Sources, region: Region) -> Groups:
    catalog, report = merge_catalogs(sources, region)
    catalog.attrs["merge_report"] = json.dumps({name: count.model_dump() for name, count in report.items()})
    return {
        "catalog": catalog,
        "catalog_grid": grid_catalog(catalog, region),
        "labels": label_days(catalog, region),
    }


def _gnss(sources: Sources, region: Region) -> Groups:
    positions = clean_gnss(list(sources.values()), region)
    if positions.sizes["station"] == 0:
        logger.warning("region %s: no GNSS station has a year of training data", region.name)
        return {}
    return {"gnss": positions, "strain": strain_rates(positions, region)}


def _insar(sources: Sources, region: Region) -> Groups:
    pairs = grid_interferograms(sources, region)
    return {} if pairs is None else {"insar": pairs}


def _weather(sources: Sources, region: Region) -> Groups:
    return {"weather": grid_weather(list(sources.values()), region)}


def _waveform(sources: Sources, region: Region) -> Groups:
    features = daily_waveform_features(list(sources.values()), region)
    return {} if features is None else {"waveform": features}


def _static(sources: Sources, region: Region) -> Groups:
    return {"static": grid_static(list(sources.values()), region)}


_BUILDERS: Mapping[str, Callable[[Sources, Region], Groups]] = {
    "catalog": _catalog,
    "gnss": _gnss,
    "insar": _insar,
    "weather": _weather,
    "waveform": _waveform,
    "static": _static,
}


def lazy_groups(region: Region, read: Read) -> Groups:
    """Return the cube's groups with the gridded ones still to be computed by Dask.

    Parameters
    ----------
    region : Region
        Its sources are read in their order, which is also their preference.
    read : function of group name
        Gives the canonical observations of `<modality>/<source>`, None where there are none.

    Raises
    ------
    ValueError
        If no catalog source has observations: without one there is nothing to forecast or to score.
    """
    groups: Groups = {}
    for modality, builder in _BUILDERS.items():
        sources = {
            source.name: observations
            for source in region.sources
            if source.modality == modality
            for observations in [read(source.group)]
            if observations is not None
        }
        if sources:
            groups |= builder(sources, region)
        elif modality == "catalog":
            raise ValueError(
                f"region {region.name!r}: expected observations of a catalog, found none; ingest one first"
            )
        else:
            logger.info("region %s has no %s: the cube goes without", region.name, modality)
    if "insar" in groups and "gnss" in groups:
        groups["insar"] = with_gnss_rates(groups["insar"], groups["gnss"], region)
    return groups


def build_groups(region: Region, read: Read, memory_bytes: int = MEMORY_BYTES) -> Groups:
    """Return the groups of `lazy_groups`, computed by whatever Dask scheduler is set if they fit into `memory_bytes`.

    A larger cube stays lazy: `stream_cube` writes it while it is computed. Whoever looks at parts of it computes those.
    """
    lazy = lazy_groups(region, read)
    if sum(group.nbytes for group in lazy.values()) > memory_bytes:
        return lazy
    return dict(zip(lazy, compute(*lazy.values()), strict=True))
