"""Regions: where and when we look, which providers are asked, and how the record is split."""

from tasks.regions.region import (
    AftershockRegime,
    Bounds,
    MagnitudeConversion,
    Region,
    Service,
    SourceConfig,
    Split,
    TimeWindow,
    UnknownRegion,
    load_region,
)

__all__ = [
    "AftershockRegime",
    "Bounds",
    "MagnitudeConversion",
    "Region",
    "Service",
    "SourceConfig",
    "Split",
    "TimeWindow",
    "UnknownRegion",
    "load_region",
]
