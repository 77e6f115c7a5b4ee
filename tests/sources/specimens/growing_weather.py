"""Weather that grows: rapid days and final months, running years, and tables of places that are written anew."""

import gzip
import json
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from tests.sources.services.servers.recorded import daily01
from tests.sources.specimens import weather
from tests.sources.specimens.specimen import put

DAY: Final = np.timedelta64(1, "D")


def era5(folder: Path, stage: int) -> None:
    """Preliminary days, one without rain; then the final month beside them; then days that say no version."""
    lat, lon = np.arange(36.5, 34.4, -0.5), np.arange(-118.5, -116.4, 0.5)

    def write(name: str, start: str, days: int, names: tuple[str, ...], version: str, shift: float) -> None:
        time = np.datetime64(start, "ns") + np.arange(days * 4) * (DAY // 4).astype("timedelta64[ns]")
        shape = (time.size, lat.size, lon.size)
        usual = {"t2m": (290.0 + shift, "K"), "tp": (0.001 * (1 + shift), "m")}
        data = {n: (("valid_time", "latitude", "longitude"), np.full(shape, usual[n][0]), {"units": usual[n][1]})
                for n in names}  # fmt: skip
        one = xr.Dataset(data, coords={"valid_time": time, "latitude": lat, "longitude": lon})
        if version:
            one = one.assign_coords(expver=("valid_time", np.array([version] * time.size, dtype=object)))
        (folder / "data").mkdir(parents=True, exist_ok=True)
        one.to_netcdf(folder / f"data/{name}.nc", engine="h5netcdf")

    write("d1", "2019-07-01", 1, ("t2m", "tp"), "0005", 0.0)
    write("d2", "2019-07-02", 1, ("t2m",), "0005", 0.1)
    if stage > 0:
        write("final", "2019-07-01", 2, ("t2m", "tp"), "0001", 0.5)
        write("d4", "2019-07-04", 1, ("t2m",), "0005", 0.2)
    if stage > 1:
        write("d0", "2019-07-04", 2, ("t2m", "tp"), "", 0.7)


def raider(folder: Path, stage: int) -> None:
    """Two moments; then one of them in a file that comes later in order; then one of them made anew, and before."""
    aside = folder / f"made{stage}"
    weather.raider(aside, t_offset=2.0 * stage)
    names = ({"m0": "m0", "m6": "m6"}, {"m0": "z0"}, {"m6": "m6", "m0": "a0"})[stage]
    for old, new in names.items():
        put(folder / f"data/{new}.nc", (aside / f"data/{old}.nc").read_bytes())


def open_meteo(folder: Path, stage: int) -> None:
    hours = np.datetime64("2019-07-01T00", "h") + np.arange(24 * (stage + 1))
    names = ("temperature_2m", "surface_pressure", "precipitation", "wind_speed_10m", "wind_direction_10m",
             "soil_moisture_0_to_7cm")  # fmt: skip
    units = dict(zip(("time", *names), ("iso8601", "°C", "hPa", "mm", "m/s", "°", "m³/m³"), strict=True))

    def write(name: str, longitudes: list[float], time: np.ndarray, celsius: float) -> None:
        usual = (celsius, 905.5, 0.0, 3.2, 270, 0.2)
        hourly = {"time": [f"{hour}:00" for hour in time]}
        hourly |= {n: [v] * time.size for n, v in zip(names, usual, strict=True)}  # type: ignore[misc]
        places = [
            {"latitude": 35.5, "longitude": x, "elevation": 700.0, "utc_offset_seconds": 0, "timezone": "GMT",
             "hourly_units": units, "hourly": hourly} for x in longitudes
        ]  # fmt: skip
        put(folder / f"data/{name}.json", json.dumps(places))

    if stage == 0:
        write("b", [-117.5, -117.25], hours, 20.0)
    write(f"a{stage}", [-117.5], hours[-30:], 21.0 + stage)
    if stage == 2:
        write("c", [-117.25], hours[20:30], 25.0)


def uscrn(folder: Path, stage: int) -> None:
    """A running year as text, and an older table of both stations that overlaps it."""
    if stage == 0:
        weather.uscrn(folder)
    for path in sorted((folder / "data/2019").glob("*.txt")):
        lines = (folder / "data/2019" / path.name).read_text().splitlines()
        wban = lines[0].split()[0]
        day = pd.Timestamp("2019-07-31") + pd.Timedelta(days=stage)
        put(path, "\n".join([*lines, lines[-1].replace(lines[-1].split()[1], f"{day:%Y%m%d}")]) + "\n")
        if stage == 2:
            table = pd.read_parquet(folder / "data/older.parquet")
            late = table[table["wban"] == wban].head(1)
            late = late.assign(lst_date=pd.Timestamp("2019-07-03"), t_daily_avg=1.5)
            put(folder / f"data/2019/CRND0103-2018-{wban}.txt", daily01(late))


def isd_lite(folder: Path, stage: int) -> None:
    history = (
        '"USAF","WBAN","STATION NAME","CTRY","STATE","ICAO","LAT","LON","ELEV(M)","BEGIN","END"\n'
        f'"723830","23187","NEAR","US","CA","K1","+35.500","-117.500","+0700.0","19430101","2025082{stage}"\n'
        f'"723831","23188","MOVES","US","CA","K2","+35.{4 + (stage > 1)}00","-117.6","+0800.0","19430101","20250829"\n'
    )
    put(folder / "data/isd-history.csv", history)
    for station, year, n in (("723830-23187", 2018, 20), ("723830-23187", 2019, 10 * (1 + stage)),
                             ("723831-23188", 2019, 10 * (1 + stage) - 3)):  # fmt: skip
        lines = [
            f"{year} 07 01 {k:02d}" + "".join(f"{v:6d}" for v in (200 + k, 50, 10132, 270, 30, -9999, 10, -9999))
            if k < 24 else
            f"{year} 07 02 {k - 24:02d}" + "".join(f"{v:6d}" for v in (200 + k, 50, 10132, 270, 30, -9999, 0, -9999))
            for k in range(n)
        ]  # fmt: skip
        packed = gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0)
        put(folder / f"data/{year}/{station}-{year}.gz", packed)


def uscrn_hourly(folder: Path, stage: int) -> None:
    for wban, name, hours in (("53139", "A_1_E", 20), ("53136", "B_1_E", 18)):
        for year in (2018, 2019):
            n = 10 if year == 2018 else hours + 10 * stage
            rows = []
            for t in np.datetime64(f"{year}-07-01T01", "h") + np.arange(n):
                day, clock = str(t)[:10].replace("-", ""), f"{str(t)[11:13]}00"
                fields = [
                    wban,
                    day,
                    clock,
                    day,
                    clock,
                    "3",
                    "-117.14",
                    "36.60",
                    "20.0",
                    "21.5",
                    "21",
                    "18",
                    "0.5",
                ]
                fields += ["0", "0"] * 5 + ["30"] * 5 + ["0.21"] * 10
                rows.append(" ".join([*fields[:38], *["-99.000"] * (38 - len(fields))]))
            put(folder / f"data/{year}/CRNH0203-{year}-CA_{name}.txt", "\n".join(rows) + "\n")


WRITERS: Final = {
    "era5": era5, "raider": raider, "open_meteo": open_meteo, "uscrn": uscrn, "isd_lite": isd_lite,
    "uscrn_hourly": uscrn_hourly,
}  # fmt: skip
