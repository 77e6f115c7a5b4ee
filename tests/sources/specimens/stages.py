"""Archives that grow: what each provider has published by one day, by the next, in files that depend on each other.

Files come late, are written anew, repeat what others say, or correct it: whatever makes one payload depend on another.
"""

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import obspy
import pandas as pd
import xarray as xr

from tasks.sources.sds import DayFile
from tests.sources.insar import conftest as scenes
from tests.sources.services.servers.fdsn import Quake, csv_of, inventory_of, noise, quakeml_of
from tests.sources.services.servers.gnss import pos, tenv3
from tests.sources.services.servers.recorded import daily01
from tests.sources.specimens import weather
from tests.sources.specimens.specimen import Specimen

STAGES: Final = 3
SITES: Final = {"P570": (35.67, -118.26), "P573": (36.09, -118.10), "P091": (35.5, -117.4)}
DAY: Final = np.timedelta64(1, "D")
Stage = Callable[[Path, int], None]


def _put(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def _versions() -> list[list[list[Quake]]]:
    """By stage and file: late firsts, revisions, one that leaves the box, one withdrawn, one told twice."""
    prompt = Quake("ci1", "2019-07-04T10:00:00", 4.0, "2019-07-04T10:03:00")
    late = Quake("ci2", "2019-07-04T12:00:00", 3.0, "2019-07-09T12:00:00")
    later = Quake("ci2", "2019-07-04T12:00:01", 3.3, "2019-07-20T12:00:00")
    near = Quake("ci3", "2019-07-05T01:00:00", 3.6, "2019-07-05T01:10:00")
    away = Quake("ci3", "2019-07-05T01:00:00", 3.5, "2019-07-06T01:10:00", latitude=39.0)
    gone = Quake("ci1", "2019-07-04T10:00:00", 4.1, "2019-07-08T00:00:00", is_deleted=True)
    new = Quake("ci4", "2019-08-01T00:00:00", 2.9, "2019-08-01T00:04:00")
    revised = Quake("ci4", "2019-08-01T00:00:02", 3.1, "2019-08-02T00:04:00")
    twice = Quake("ci4", "2019-08-01T00:00:02", 3.2, "2019-08-02T00:04:00")
    return [
        [[prompt, near], [later], []],
        [[prompt, near], [later, away], [new]],
        [[prompt, near, late], [later, away, gone], [new, revised], [twice]],
    ]


def comcat(folder: Path, stage: int) -> None:
    for k, quakes in enumerate(_versions()[stage]):
        _put(folder / f"data/{k}.csv", csv_of(quakes))


def quakeml(folder: Path, stage: int) -> None:
    for k, quakes in enumerate(_versions()[stage]):
        _put(folder / f"data/{k}.xml", quakeml_of(quakes))


def scedc(folder: Path, stage: int) -> None:
    """One event is in both years, with other values; the running year's listing is written anew."""
    for year, n in ((2018, 3), (2019, 2 + 2 * stage)):
        rows = [
            f"{year}/0{1 + k}/02 10:00:0{stage}.00 eq l {3 + 0.1 * k + 0.01 * stage:.2f} l 35.5{k} -117.50 7.0 "
            f"A {38 if k == 0 else year}{k} 21 100"
            for k in range(n)
        ]
        text = "\n".join(rows) + f"\n# Number of rows returned: {n}\n"
        if year == 2019 or stage == 0:
            _put(folder / f"data/{year}.catalog", "#YYY/MM/DD ...\n" + text)


def scedc_m3(folder: Path, stage: int) -> None:
    for part in range(stage + 1):
        rows = [f"{k},2019-07-0{1 + k} 10:00:00,-117.5,35.5,{3 + 0.1 * part}" for k in range(part, part + 3)]
        _put(
            folder / f"data/{'cab'[part]}.csv",
            "\n".join(["index,time,longitude,latitude,magnitude", *rows]) + "\n",
        )


def relocated(folder: Path, stage: int) -> None:
    for part in range(stage + 1):
        rows = [
            f"{k},2019-07-0{1 + k},10:00:00.000,3.{part},-117.5,35.5,7.0,1" for k in range(part, part + 3)
        ]
        _put(folder / f"data/{'cab'[part]}.csv", "\n".join(rows) + "\n")


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
        _put(folder / f"data/{new}.nc", (aside / f"data/{old}.nc").read_bytes())


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
        _put(folder / f"data/{name}.json", json.dumps(places))

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
        _put(path, "\n".join([*lines, lines[-1].replace(lines[-1].split()[1], f"{day:%Y%m%d}")]) + "\n")
        if stage == 2:
            table = pd.read_parquet(folder / "data/older.parquet")
            late = table[table["wban"] == wban].head(1)
            late = late.assign(lst_date=pd.Timestamp("2019-07-03"), t_daily_avg=1.5)
            _put(folder / f"data/2019/CRND0103-2018-{wban}.txt", daily01(late))


def isd_lite(folder: Path, stage: int) -> None:
    history = (
        '"USAF","WBAN","STATION NAME","CTRY","STATE","ICAO","LAT","LON","ELEV(M)","BEGIN","END"\n'
        f'"723830","23187","NEAR","US","CA","K1","+35.500","-117.500","+0700.0","19430101","2025082{stage}"\n'
        f'"723831","23188","MOVES","US","CA","K2","+35.{4 + (stage > 1)}00","-117.6","+0800.0","19430101","20250829"\n'
    )
    _put(folder / "data/isd-history.csv", history)
    for station, year, n in (("723830-23187", 2018, 20), ("723830-23187", 2019, 10 * (1 + stage)),
                             ("723831-23188", 2019, 10 * (1 + stage) - 3)):  # fmt: skip
        lines = [
            f"{year} 07 01 {k:02d}" + "".join(f"{v:6d}" for v in (200 + k, 50, 10132, 270, 30, -9999, 10, -9999))
            if k < 24 else
            f"{year} 07 02 {k - 24:02d}" + "".join(f"{v:6d}" for v in (200 + k, 50, 10132, 270, 30, -9999, 0, -9999))
            for k in range(n)
        ]  # fmt: skip
        packed = gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0)
        _put(folder / f"data/{year}/{station}-{year}.gz", packed)


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
            _put(folder / f"data/{year}/CRNH0203-{year}-CA_{name}.txt", "\n".join(rows) + "\n")


def _motion(site: str, days: int) -> np.ndarray:
    rng = np.random.default_rng(sum(map(ord, site)))
    return rng.normal(0, [0.0015, 0.0015, 0.006], (60, 3))[:days]


def _days_of(site: str, stage: int) -> int:
    """Two stations say something new at each stage, one at the last only."""
    return 20 + 3 * (stage if site != "P091" else 2 * (stage == 2))


def tenv3_(folder: Path, stage: int) -> None:
    for site, (_, longitude) in SITES.items():
        _put(
            folder / f"data/{site}.tenv3",
            tenv3(site, "2019-06-10", _motion(site, _days_of(site, stage)), longitude),
        )


def pos_(folder: Path, stage: int) -> None:
    """A final file that grows, and a rapid one beside it that begins earlier, or is replaced."""
    for site, (latitude, longitude) in SITES.items():
        n, place = _days_of(site, stage), (latitude, longitude % 360, 715.0)
        final = pos(site, "2019-06-12", _motion(site, n - 8), ["final"] * (n - 8), "20190801 000000", place)
        _put(folder / f"data/{site}.cwu.final_igs14.pos", final)
        if stage > 0:
            rapid = pos(
                site, "2019-06-10", 0.001 + _motion(site, n), ["rapid"] * n, f"2019080{stage} 000000", place,
                shift=(0.01, 0.0, 0.0),
            )  # fmt: skip
            _put(folder / f"data/{site}.cwu.rapid_igs14.pos", rapid)


def cwu_csv(folder: Path, stage: int) -> None:
    lines = ["PBO Velocity file", "*Dot#     Name           Ref_epoch"]
    for site, (latitude, longitude) in SITES.items():
        x, y, height = -2.0 - stage, -5.0, 815.5 + (stage == 2 and site == "P573")
        lines.append(
            f" {site} Somewhere       20231227120000 60305.5000 {x} {y} 3.0 {latitude} {longitude % 360} {height} 0.1"
        )
        motion = _motion(site, _days_of(site, stage)) * 1000
        rows = [
            f"{np.datetime64('2019-06-10') + k},{n:.2f},{e:.2f},{u:.2f}" for k, (e, n, u) in enumerate(motion)
        ]
        head = "Date, North (mm), East (mm), Vertical (mm)"
        _put(folder / f"data/position.{site}.cwu.nam14.csv", "\n".join([head, *rows]) + "\n")
    _put(folder / "data/cwu.final_nam14.vel", "\n".join(lines) + "\n")


def geonet(folder: Path, stage: int) -> None:
    """Settled years, the running period, and the latest days, which override; the summary is written anew."""
    places = {s: {"latitude": lat, "longitude": lon, "elevation": 810} for s, (lat, lon) in SITES.items()}
    places["AUCK"] = {"latitude": -36.6, "longitude": 174.8 + stage, "elevation": 100}
    _put(folder / "data/stations.json", json.dumps({"domain": {"gnss": {"station": places}}}))
    head = "station,name,sensorCode,method,aspect,timestamp,value,error,unit"
    for site in ("P570", "P091"):
        n = _days_of(site, stage)
        for column, component in enumerate(("east", "north", "up")):
            values = _motion(site, n)[:, column]
            rows = [
                f"{site},displacement,nil,1d,{component},{np.datetime64('2019-06-10') + k}T12:00:00Z,{v:.5f},0.0015,m"
                for k, v in enumerate(values)
            ]
            older = [row.replace("2019-06", "2014-06") for row in rows[:4]]
            latest = [row.replace(",0.0015,", ",0.0040,") for row in rows[-5:]]
            for period, some in (("2014", older), ("2019", rows[:-3]), ("latest", latest)):
                _put(folder / f"data/{site}.{component}.{period}.csv", "\n".join([head, *some]) + "\n")


def gnss_mseed(folder: Path, stage: int) -> None:
    """An event a stage; a station has two instruments in the second."""
    lines = ["#net sta loc chan lat lon elev samplerate gain units sensortype"]
    for event in range(stage + 1):
        rng = np.random.default_rng(event)
        path = folder / f"data/e{event}.geodetic.mseed.tar.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for site in list(SITES)[: 2 + event]:
                for network in ("PW", "AA")[: 1 + (event == 1)]:
                    for channel in ("LXE", "LXN", "LXZ"):
                        metres = rng.normal(0, 0.004, 60) + np.linspace(0, 0.2, 60)
                        header = {
                            "network": network, "station": site, "channel": channel, "sampling_rate": 1.0,
                            "starttime": obspy.UTCDateTime("2019-07-06T03:19:00") + 7200 * event,
                        }  # fmt: skip
                        body = io.BytesIO()
                        trace = obspy.Trace((metres * 1e6).astype(np.float32), header)
                        trace.write(body, format="MSEED", reclen=512, encoding="FLOAT32")
                        member = tarfile.TarInfo(f"mseed/{network}.{site}.{channel}.mseed")
                        member.size = len(body.getvalue())
                        tar.addfile(member, io.BytesIO(body.getvalue()))
        _put(path, gzip.compress(buffer.getvalue(), mtime=0))
    for site, (latitude, longitude) in SITES.items():
        lines += [
            f"{network} {site} -- {channel} {latitude} {longitude} 700 1 1e6 m GNSS"
            for network in ("PW", "AA") for channel in ("LXE", "LXN", "LXZ")
        ]  # fmt: skip
    _put(folder / "data/event.geodetic.dat", "\n".join(lines) + "\n")


PAIRS: Final = (
    (("20190604", "20190628"), ("20190616", "20190628")),
    (("20190628", "20190710"),),
    (("20190616", "20190710"), ("20190710", "20190722"), ("20190520", "20190604")),
)


def _scenes(stage: int) -> list[scenes.Scene]:
    return [scenes.Scene(start=s, time=t, factor=1 + 0.1 * k) for k, (s, t) in enumerate(PAIRS[stage])]


def los_geotiff(folder: Path, stage: int) -> None:
    lat, lon = scenes.degrees(0.04)
    box, data = scenes.BOX, folder / "data"
    if stage == 0:
        for letter, part in zip("ENU", scenes.ASCENDING, strict=True):
            values = np.full(lat.shape, part, np.float32)
            scenes.write_tif(
                data / f"metadata/a064.geo.{letter}.tif", values, box[0], box[3], 0.04, "EPSG:4326"
            )
    for scene in _scenes(stage):
        pair = f"{scene.start}_{scene.time}"
        los = scene.los(lat, lon).astype(np.float32)
        scenes.write_tif(
            data / f"interferograms/{pair}/{pair}.geo.los.tif", los, box[0], box[3], 0.04, "EPSG:4326"
        )


def licsar(folder: Path, stage: int) -> None:
    for scene in _scenes(stage):
        scenes.write_licsar(folder / "data", scene)


def hyp3(folder: Path, stage: int) -> None:
    for scene in _scenes(stage):
        scenes.write_hyp3(folder / "data", scene)


def aria(folder: Path, stage: int) -> None:
    """Scenes of the south come first, those of the north a stage later: the lattice is that of the first one."""
    for scene in _scenes(stage):
        scenes.write_aria(folder / "data", scene, box=(-118.1, 34.9, -116.9, 35.6), serial="0001")
    if stage > 0:
        for scene in (*_scenes(stage), *_scenes(stage - 1)):
            scenes.write_aria(
                folder / "data", scene, box=(-118.1, 35.3, -116.9, 36.1), serial="0002", constant=0.3
            )


def opera(folder: Path, stage: int) -> None:
    """Products whose reference moves on; a link that comes late, and a product that is made anew."""
    made = {
        0: (("20190101", "20190125", "20190301T010203"), ("20190125", "20190218", "20190301T010203")),
        1: (("20190125", "20190302", "20190401T010203"), ("20190302", "20190326", "20190501T010203")),
        2: (("20181201", "20190101", "20190601T010203"), ("20190125", "20190218", "20190701T010203")),
    }  # fmt: skip
    for k, (start, time, produced) in enumerate(made[stage]):
        scene = scenes.Scene(start=start, time=time, factor=1 + 0.1 * k + stage)
        scenes.write_opera(folder / "data", scene, produced=produced)
    if stage == 1:
        scene = scenes.Scene(start="20190125", time="20190218")
        scenes.write_opera(folder / "data", scene, produced="20190401T010203", frame="F11117")


CODES: Final = [f"CI.{station}..BH{letter}" for station in ("CLC", "WCS2") for letter in "ZNE"]


def _mseed(*traces: obspy.Trace) -> bytes:
    body = io.BytesIO()
    obspy.Stream(list(traces)).write(body, format="MSEED", reclen=512)
    return body.getvalue()


def miniseed(folder: Path, stage: int) -> None:
    """Channels that come late, and a station of which the metadata do."""
    stations = [("CLC", 0), ("WCS2", 1)]
    for station, since in stations:
        if stage >= since:
            (folder / "data/stations").mkdir(parents=True, exist_ok=True)
            own = [code for code in CODES if f".{station}." in code]
            path = folder / f"data/stations/CI.{station}.xml"
            if not path.exists():
                inventory_of(own).write(str(path), format="STATIONXML")
    for event in range(stage + 1):
        late = 2 if event == stage == 1 else 3
        for code in (c for c in CODES if c[-1] in "ZNE"[:late]):
            _put(
                folder / f"data/ev{event}/{code}.mseed",
                _mseed(noise(code, f"2019-07-0{4 + event}T03:19:23", 130)),
            )


def sds(folder: Path, stage: int) -> None:
    """Days with records across both midnights; of the last day a part at first."""
    if stage == 0:
        (folder / "data/stations").mkdir(parents=True)
        for station in ("CLC", "WCS2"):
            own = [code for code in CODES if f".{station}." in code]
            inventory_of(own, rate=20.0).write(
                str(folder / f"data/stations/CI.{station}.xml"), format="STATIONXML"
            )
    for code in (code for code in CODES if code.endswith("Z")):
        whole = noise(code, "2019-07-05T22:00:00.3", 3 * 86_400)
        for day in ("2019-07-05", "2019-07-06", "2019-07-07")[: 1 + stage + (code[3] == "C")]:
            start = obspy.UTCDateTime(day)
            hours = 5 if stage == 0 else 24
            trace = whole.slice(start, start + hours * 3600 - 0.01) if day != "2019-07-05" else whole.slice(
                start, start + 86_400 - 0.01
            )  # fmt: skip
            network, station, location, channel = code.split(".")
            name = DayFile(f"{network}.{station}", location, channel, np.datetime64(day, "D")).name
            _put(folder / "data" / name, _mseed(trace))


WRITERS: Final[Mapping[str, Stage]] = {
    "comcat": comcat, "quakeml": quakeml, "scedc": scedc, "scedc_m3": scedc_m3, "relocated": relocated,
    "era5": era5, "raider": raider, "open_meteo": open_meteo, "uscrn": uscrn, "isd_lite": isd_lite,
    "uscrn_hourly": uscrn_hourly, "tenv3": tenv3_, "pos": pos_, "cwu_csv": cwu_csv, "geonet": geonet,
    "gnss_mseed": gnss_mseed, "los_geotiff": los_geotiff, "licsar": licsar, "hyp3": hyp3, "aria": aria,
    "opera": opera, "miniseed": miniseed, "sds": sds,
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
