"""A day or two of weather in each format."""

import gzip
import json
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from tests.sources.services.servers.recorded import daily01
from tests.sources.services.servers.weather import era5_zip
from tests.sources.specimens.specimen import Specimen

HOURS: Final = 48
UTC: Final = np.datetime64("2019-07-01T00", "h") + np.arange(HOURS)
CELSIUS: Final = np.round(20 + 8 * np.sin(2 * np.pi * np.arange(HOURS) / 24), 1)
RAIN_MM: Final = np.where(np.arange(HOURS) % 7 == 0, 0.5, 0.0)
HISTORY: Final = (
    '"USAF","WBAN","STATION NAME","CTRY","STATE","ICAO","LAT","LON","ELEV(M)","BEGIN","END"\n'
    '"723830","23187","NEAR","US","CA","K1","+35.500","-117.500","+0700.0","19430101","20250829"\n'
)


def era5(folder: Path, **confused: float) -> None:
    """A plain file, and a ZIP under the name of one, as the store sends."""
    lat, lon = np.arange(36.5, 34.4, -0.5), np.arange(-118.5, -116.4, 0.5)
    shape = (HOURS, lat.size, lon.size)
    fields = {"t2m": 273.15 + CELSIUS, "sp": np.full(HOURS, 9.1e4), "tp": RAIN_MM / 1000.0}
    units = {"t2m": "K", "sp": "Pa", "tp": "m"}
    one = xr.Dataset(
        {
            name: (
                ("valid_time", "latitude", "longitude"),
                np.broadcast_to(
                    (confused.get(f"{name}_offset", 0.0) + confused.get(name, 1.0) * values)[:, None, None], shape
                ),
                {"units": units[name]},
            )
            for name, values in fields.items()
        },
        coords={"valid_time": UTC.astype("datetime64[ns]"), "latitude": lat, "longitude": lon},
    )  # fmt: skip
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    one.to_netcdf(data / "a.nc", engine="h5netcdf")
    if confused:
        return
    request = {
        "year": ["2019"], "month": ["07"], "day": ["05"], "area": ["36.5", "-118.5", "34.5", "-116.5"],
        "variable": ["2m_temperature", "total_precipitation"],
    }  # fmt: skip
    (data / "b.nc").write_bytes(era5_zip(request, np.datetime64("2100-01-01")))


def uscrn(folder: Path, offset: float = 0.0) -> None:
    names = [
        "wban", "lst_date", "crx_vn", "longitude", "latitude", "t_daily_max", "t_daily_min", "t_daily_mean",
        "t_daily_avg", "p_daily_calc", "solarad_daily", "sur_temp_daily_type", "sur_temp_daily_max",
        "sur_temp_daily_min", "sur_temp_daily_avg", "rh_daily_max", "rh_daily_min", "rh_daily_avg",
        "soil_moisture_5_daily", "soil_moisture_10_daily", "soil_moisture_20_daily", "soil_moisture_50_daily",
        "soil_moisture_100_daily", "soil_temp_5_daily", "soil_temp_10_daily", "soil_temp_20_daily",
        "soil_temp_50_daily", "soil_temp_100_daily",
    ]  # fmt: skip
    days = pd.date_range("2019-07-01", periods=30)
    stations = {"53139": "CA_Stovepipe_Wells_1_SW", "53136": "NV_Mercury_3_SSW"}
    (folder / "data/2019").mkdir(parents=True, exist_ok=True)
    tables = []
    for wban, place in stations.items():
        table = pd.DataFrame(
            {name: np.full(days.size, np.nan if "soil" in name else 1.0) for name in names}
        ).assign(
            wban=wban, lst_date=days, crx_vn="2.623", longitude=-117.14, latitude=36.6, sur_temp_daily_type="C",
            t_daily_avg=offset + CELSIUS[:30], p_daily_calc=RAIN_MM[:30], soil_moisture_5_daily=0.21,
        )[names]  # fmt: skip
        tables.append(table)
        (folder / f"data/2019/CRND0103-2019-{place}.txt").write_bytes(daily01(table))
    older = pd.concat(tables).assign(lst_date=pd.date_range("2019-05-01", periods=60))
    older.to_parquet(folder / "data/older.parquet")


def raider(folder: Path, **confused: float) -> None:
    z, y, x = (
        np.array([-500.0, 0.0, 500.0, 1000.0, 5000.0]),
        np.arange(34.5, 36.6, 0.5),
        np.arange(-118.5, -116.4, 0.5),
    )
    shape = (z.size, y.size, x.size)

    def field(
        values: np.ndarray, units: str, name: str
    ) -> tuple[tuple[str, ...], np.ndarray, dict[str, str]]:
        offset = confused.get(f"{name}_offset", 0.0)
        return (
            ("z", "y", "x"),
            np.broadcast_to((offset + confused.get(name, 1.0) * values)[:, None, None], shape),
            {"units": units},
        )

    (folder / "data").mkdir(parents=True, exist_ok=True)
    for hour in (0, 6):
        profile = xr.Dataset(
            {
                "t": field(288.0 - z / 150, "K", "t"), "p": field(1.01e5 * np.exp(-z / 8000), "Pa", "p"),
                "wet_total": field(0.1 * np.exp(-z / 2000), "m", "wet_total"),
                "hydro_total": field(2.3 * np.exp(-z / 8000), "m", "hydro_total"),
            },
            coords={"z": z, "y": y, "x": x, "datetime": np.datetime64(f"2019-07-01T{hour:02d}", "ns")},
        )  # fmt: skip
        profile.to_netcdf(folder / f"data/m{hour}.nc", engine="h5netcdf")


def open_meteo(folder: Path, offset: float = 0.0, pressure: float = 1.0) -> None:
    hourly = {
        "time": [f"{hour}:00" for hour in UTC], "temperature_2m": list(offset + CELSIUS),
        "surface_pressure": [pressure * 905.5] * HOURS, "precipitation": list(RAIN_MM),
        "wind_speed_10m": [3.2] * HOURS, "wind_direction_10m": [270] * HOURS, "soil_moisture_0_to_7cm": [0.2] * HOURS,
    }  # fmt: skip
    units = ("iso8601", "°C", "hPa", "mm", "m/s", "°", "m³/m³")
    place = {
        "latitude": 35.5, "longitude": -117.5, "elevation": 700.0, "utc_offset_seconds": 0, "timezone": "GMT",
        "hourly_units": dict(zip(hourly, units, strict=True)), "hourly": hourly,
    }  # fmt: skip
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for name, shift in (("a", 0.0), ("b", 0.25)):
        content = place | {"longitude": -117.5 + shift}
        (folder / f"data/{name}.json").write_text(json.dumps(content, indent=1))


def isd_lite(folder: Path, factor: float = 1.0) -> None:
    lines = [
        f"{str(t)[:4]} {str(t)[5:7]} {str(t)[8:10]} {str(t)[11:13]}"
        + "".join(f"{round(v):6d}" for v in (factor * 10 * c, 50, 10132, 270, 30, -9999, 10 * r, -9999))
        for t, c, r in zip(UTC, CELSIUS, RAIN_MM, strict=True)
    ]
    (folder / "data/2019").mkdir(parents=True, exist_ok=True)
    (folder / "data/isd-history.csv").write_text(HISTORY)
    packed = gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0)
    (folder / "data/2019/723830-23187-2019.gz").write_bytes(packed)


def uscrn_hourly(folder: Path, offset: float = 0.0) -> None:
    lines = []
    for t, celsius, rain in zip(UTC, CELSIUS, RAIN_MM, strict=True):
        day, clock = str(t)[:10].replace("-", ""), f"{str(t)[11:13]}00"
        fields = [
            "53139",
            day,
            clock,
            day,
            clock,
            "3",
            "-117.14",
            "36.60",
            "20.0",
            f"{offset + celsius:.1f}",
            "21",
            "18",
        ]
        lines.append(" ".join([*fields, f"{rain:.1f}", *["0"] * 15, "0.200", *["-99.000"] * 9]))
    (folder / "data/2019").mkdir(parents=True, exist_ok=True)
    (folder / "data/2019/CRNH0203-2019-CA_Stovepipe_Wells_1_SW.txt").write_text("\n".join(lines) + "\n")


SPECIMENS: Final = {
    "era5": Specimen(
        "weather", era5,
        confused={
            "deg C for K": lambda f: era5(f, t2m_offset=-273.15), "hPa for Pa": lambda f: era5(f, sp=0.01),
            "mm for m": lambda f: era5(f, tp=1000.0),
        },
    ),
    "uscrn": Specimen("weather", uscrn, confused={"K for deg C": lambda f: uscrn(f, 273.15)}),
    "raider": Specimen(
        "weather", raider, options={"height_m": 715},
        confused={
            "deg C for K": lambda f: raider(f, t_offset=-273.15), "hPa for Pa": lambda f: raider(f, p=0.01),
            "mm for m": lambda f: raider(f, hydro_total=1000.0, wet_total=1000.0),
        },
    ),
    "open_meteo": Specimen(
        "weather", open_meteo,
        confused={"K for deg C": lambda f: open_meteo(f, 273.15), "Pa for hPa": lambda f: open_meteo(f, 0.0, 100.0)},
    ),
    "isd_lite": Specimen("weather", isd_lite, confused={"hundredths for tenths": lambda f: isd_lite(f, 10.0)}),
    "uscrn_hourly": Specimen("weather", uscrn_hourly, confused={"K for deg C": lambda f: uscrn_hourly(f, 273.15)}),
}  # fmt: skip
