"""Regions: where and when we look, which providers are asked, and how the record is split."""

from tasks.regions.region import (
    AftershockRegime,
    Bounds,
    MagnitudeConversion,
    Region,
    Split,
    TimeWindow,
    UnknownRegion,
    load_region,
    load_vocabulary,
)
from tasks.regions.source import Provider, Service, SourceConfig

__all__ = [
    "AftershockRegime",
    "Bounds",
    "MagnitudeConversion",
    "Provider",
    "Region",
    "Service",
    "SourceConfig",
    "Split",
    "TimeWindow",
    "UnknownRegion",
    "load_region",
    "load_vocabulary",
]
