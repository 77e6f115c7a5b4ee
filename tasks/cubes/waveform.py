"""Waveform records as daily features of each station."""

from collections.abc import Sequence
from typing import Final

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr

from tasks.cubes.clock import NAT, day_axis, day_number, not_before_day_end
from tasks.regions import Region
from tasks.waveforms.features import FEATURES, record_features

CHUNK_RECORDS: Final = 512
# The strongest minute of a day tells of shaking, the middle one of the ground and its noise.
LARGEST: Final = ("log_peak_velocity", "sta_lta_max")
COUNT: Final = "log_record_count"


def daily_waveform_features(sources: Sequence[xr.Dataset], region: Region) -> xr.Dataset | None:
    """Return `waveform_features` (time, station, feature) float32; None if no source has a record.

    A day's feature is the median over its records, of `log_peak_velocity` and `sta_lta_max` the largest;
    `log_record_count` is log10 of the number of records. NaN on days without a record: silence is not known.
    Channels with a quality flag count as missing. Features of records are computed block by block with Dask.
    `available_time` (time, station) is the latest of the day's records.
    """
    days = day_axis(region)
    frames = [frame for source in sources if source.sizes["record"] for frame in [_records(source)]]
    if not frames:
        return None
    records = pd.concat(frames, ignore_index=True)
    records["day"] = day_number(records["time"].to_numpy(), days)
    # The place is of the station, whatever day; a station that moved keeps the place of its first record.
    stations = records.drop_duplicates("station").sort_values("station").set_index("station")
    records = records.loc[(records["day"] >= 0) & records["available"].ne(NAT)]
    grouped = records.groupby(["day", "station"])
    middle = [name for name in FEATURES if name not in LARGEST]
    table = grouped[middle].median().join(grouped[list(LARGEST)].max())
    table[COUNT] = np.log10(grouped.size())
    known = grouped["available"].max()
    feature = (*FEATURES, COUNT)
    values = np.full((days.size, len(stations), len(feature)), np.nan, np.float32)
    available = np.full((days.size, len(stations)), NAT)
    day = table.index.get_level_values("day").to_numpy()
    column = stations.index.get_indexer(table.index.get_level_values("station"))
    values[day, column] = table[list(feature)].to_numpy()
    available[day, column] = known.to_numpy()
    return xr.Dataset(
        {
            "waveform_features": (("time", "station", "feature"), values),
            "available_time": (("time", "station"), not_before_day_end(available, days)),
        },
        coords={
            "time": days,
            "station": stations.index.to_numpy(dtype=object),
            "feature": np.array(feature, dtype=object),
            "latitude": ("station", stations["latitude"].to_numpy(float), {"units": "degree_north"}),
            "longitude": ("station", stations["longitude"].to_numpy(float), {"units": "degree_east"}),
        },
    )


def _records(source: xr.Dataset) -> pd.DataFrame:
    rate = float(source.attrs["sampling_rate_hz"])
    good = source["quality_flag"] == 0
    velocity = source["velocity"].where(good).transpose("record", "channel", "sample")
    blocks = velocity.chunk(record=CHUNK_RECORDS, channel=-1, sample=-1).data
    features = da.map_blocks(
        record_features, blocks, rate, dtype=np.float32, drop_axis=[1, 2], new_axis=1,
        chunks=(blocks.chunks[0], (len(FEATURES),)),
    )  # fmt: skip
    frame = pd.DataFrame(features.compute(), columns=list(FEATURES))
    frame["station"] = source["station"].values.astype(object)
    frame["time"] = source["time"].values.astype("datetime64[ns]")
    frame["available"] = source["available_time"].values.astype("datetime64[ns]").astype(np.int64)
    frame["latitude"], frame["longitude"] = source["latitude"].values, source["longitude"].values
    return frame
