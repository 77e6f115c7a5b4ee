"""Archives that grow: what each provider has published by one day, by the next, in files that depend on each other.

Files come late, are written anew, repeat what others say, or correct it: whatever makes one payload depend on another.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.sources.specimens import growing_catalogs, growing_gnss, growing_scenes, growing_weather
from tests.sources.specimens.specimen import Specimen

STAGES: Final = 3
Stage = Callable[[Path, int], None]

WRITERS: Final[Mapping[str, Stage]] = {
    **growing_catalogs.WRITERS, **growing_weather.WRITERS, **growing_gnss.WRITERS, **growing_scenes.WRITERS,
}  # fmt: skip
_OPTIONS: Final[Mapping[str, list[dict[str, str | float | int | bool]]]] = {
    "comcat": [{"availability": kind} for kind in ("updated", "delay", "versions")],
    "relocated": [{"published": "2019-08-01"}],
    "era5": [{"version": kind} for kind in ("latest", "first")],
    "hyp3": [{"step_deg": 0.04}],
    "opera": [{"step_deg": 0.04, "series": kind} for kind in ("chained", "consecutive")],
    "sds": [{"step_minutes": 360, "offset_minutes": 0}],
}
MODALITIES: Final = {
    **dict.fromkeys(("comcat", "quakeml", "scedc", "scedc_m3", "relocated"), "catalog"),
    **dict.fromkeys(("era5", "raider", "open_meteo", "uscrn", "isd_lite", "uscrn_hourly"), "weather"),
    **dict.fromkeys(("tenv3", "pos", "cwu_csv", "geonet"), "gnss"), "gnss_mseed": "gnss_highrate",
    **dict.fromkeys(("los_geotiff", "licsar", "hyp3", "aria", "opera"), "insar"),
    **dict.fromkeys(("miniseed", "sds"), "waveform"),
}  # fmt: skip


def growing(provider: str) -> list[Specimen]:
    """The sources by which the archive of `provider` is read, one for each way that makes payloads depend."""
    return [
        Specimen(MODALITIES[provider], lambda _: None, options=options)
        for options in _OPTIONS.get(provider, [{}])
    ]
