"""Weather providers on the loopback, with the faults that real ones have; each is an answer for `serve`.

`faults` holds what goes wrong next, in order, each once: `429`, `503`, `truncated`, `html`, `empty`, and for the
Climate Data Store `licence`, `failed`, `rejected`, `dismissed`, `lost`, `gone`, `short`.
"""

import io
import json
import zipfile
from collections.abc import Callable
from urllib.parse import parse_qs

import numpy as np
import xarray as xr

from ..conftest import Reply, Request

SECRET = "11111111-2222-3333-4444-555555555555"
HTML = b"<html><body>maintenance</body></html>"
UNITS = {"t2m": "K", "sp": "Pa", "tp": "m", "u10": "m s**-1", "v10": "m s**-1", "swvl1": "m**3 m**-3"}
LONG = {
    "2m_temperature": "t2m", "surface_pressure": "sp", "total_precipitation": "tp", "10m_u_component_of_wind": "u10",
    "10m_v_component_of_wind": "v10", "volumetric_soil_water_layer_1": "swvl1",
}  # fmt: skip


def truth(short: str, time: np.ndarray, lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Return a field (time, lat, lon) that tells every hour and node apart; longitudes in any convention."""
    hour = (time.astype("datetime64[h]").astype(np.int64) % 1000)[:, None, None] / 1000
    place = lat[None, :, None] / 90 + ((lon + 180) % 360 - 180)[None, None, :] / 1800
    base, scale = {"t2m": (285, 5), "sp": (9e4, 1e3), "tp": (3e-3, 1e-3), "swvl1": (0.3, 0.05)}.get(
        short, (1, 2)
    )
    return np.asarray(base + scale * (hour + place), dtype=np.float64)


def common_fault(fault: str, whole: Reply) -> Reply:
    """Return `whole` as the fault spoils it."""
    return {
        "429": Reply(429, headers={"Retry-After": "0"}),
        "503": Reply(503),
        "truncated": whole._replace(body=whole.body[: len(whole.body) // 2], announced=len(whole.body)),
        "html": Reply(body=HTML),
        "empty": Reply(204),
    }[fault]


class ClimateDataStore:
    """The endpoints that cdsapi 0.7.7 uses: processes, execution, jobs, results and the file itself."""

    def __init__(self, final_until: str = "2100-01-01", polls: int = 1) -> None:
        self.final_until, self.polls = np.datetime64(final_until), polls
        self.jobs: dict[str, dict[str, list[str]]] = {}
        self.asked: dict[str, int] = {}
        self.faults: list[str] = []
        self.storage = ""

    def __call__(self, request: Request) -> Reply:
        """Answer as the store; without the key nothing but the messages and the file can be had."""
        path = request.path.removeprefix("/api")
        headers = {name.lower(): value for name, value in request.headers.items()}
        if path.startswith("/catalogue"):
            return _json({"messages": []})
        if path.startswith("/file/"):
            whole = Reply(body=era5_zip(self.jobs[path.split("/")[-1]], self.final_until))
            if self.faults and self.faults[0] in ("429", "503", "truncated", "html", "empty"):
                return common_fault(self.faults.pop(0), whole)
            return whole
        if headers.get("private-token") != SECRET:
            return _json({"title": "unauthorized", "detail": "operation not allowed"}, 401)
        base = f"http://{headers['host']}/api/retrieve/v1"
        parts = path.removeprefix("/retrieve/v1/").split("/")
        match [request.method, *parts]:
            case ["GET", "processes", dataset]:
                return _json({"id": dataset, "links": []})
            case ["POST", "processes", _, "execution"]:
                if self.faults[:1] == ["licence"]:
                    return _json({"title": "required licences not accepted"}, 403)
                job = f"job-{len(self.jobs)}"
                self.jobs[job] = json.loads(request.body)["inputs"]
                return self._job(base, job, "accepted", 201)
            case ["GET", "jobs", job] if job in self.jobs:
                self.asked[job] = self.asked.get(job, 0) + 1
                if self.faults[:1] == ["lost"]:
                    self.faults.pop(0)
                    return _json({"title": "job not found"}, 404)
                if self.faults and self.faults[0] in ("failed", "rejected", "dismissed"):
                    return self._job(base, job, self.faults.pop(0))
                return self._job(base, job, "successful" if self.asked[job] > self.polls else "running")
            case ["GET", "jobs", job, "results"] if job in self.jobs:
                if self.asked[job] <= self.polls:
                    return _json({"title": "The job failed", "detail": "MARS returned no data"}, 400)
                body = era5_zip(self.jobs[job], self.final_until)
                size = len(body) + (1 if self.faults[:1] == ["short"] and self.faults.pop(0) else 0)
                host = self.storage or f"http://{headers['host']}"
                href = f"{host}/file/{'none' if self.faults[:1] == ['gone'] else job}"
                if self.faults[:1] == ["gone"]:
                    self.faults.pop(0)
                    href = f"{host}/nothing/{job}"
                return _json(
                    {"asset": {"value": {"href": href, "file:size": size, "type": "application/zip"}}}
                )
        return Reply(404)

    def _job(self, base: str, job: str, status: str, code: int = 200) -> Reply:
        links = [{"rel": "monitor" if code == 201 else "self", "href": f"{base}/jobs/{job}"}]
        if status == "successful":
            links.append({"rel": "results", "href": f"{base}/jobs/{job}/results"})
        return _json({"jobID": job, "processID": "reanalysis", "status": status, "links": links}, code)


def era5_zip(request: dict[str, list[str]], final_until: np.datetime64) -> bytes:
    """Return what the store sends for mixed variables: a ZIP of instantaneous and accumulated fields."""
    day = np.array(
        [f"{request['year'][0]}-{request['month'][0]}-{d}" for d in request["day"]], "datetime64[D]"
    )
    time = (day[:, None] + np.arange(24) * np.timedelta64(1, "h")).ravel().astype("datetime64[ns]")
    north, west, south, east = (float(edge) for edge in request["area"])
    lat, lon = np.arange(north, south - 1e-6, -0.25), np.arange(west, east + 1e-6, 0.25)
    expver = np.where(time < final_until, "0001", "0005").astype(object)
    shorts = [LONG[name] for name in request["variable"]]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for step, names in (
            ("instant", [s for s in shorts if s != "tp"]),
            ("accum", [s for s in shorts if s == "tp"]),
        ):
            if names:
                part = xr.Dataset(
                    {
                        s: (
                            ("valid_time", "latitude", "longitude"),
                            truth(s, time, lat, lon),
                            {"units": UNITS[s]},
                        )
                        for s in names
                    },
                    coords={"valid_time": time, "latitude": lat, "longitude": lon, "number": 0},
                ).assign_coords(expver=("valid_time", expver))
                member = zipfile.ZipInfo(f"data_stream-oper_stepType-{step}.nc", (2020, 1, 1, 0, 0, 0))
                archive.writestr(member, bytes(part.to_netcdf(engine="h5netcdf")))
    return out.getvalue()


class OpenMeteo:
    """Open-Meteo's archive: an object for one place, a list for several, 400 with a reason."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.units: dict[str, str] = {}

    def __call__(self, request: Request) -> Reply:
        """Answer as the service; km/h where the question does not ask for m/s."""
        query = {key: values[0] for key, values in parse_qs(request.query).items()}
        if query.get("models") != "era5":
            reason = f"Cannot initialize MultiDomains from invalid String value {query.get('models')}."
            return _json({"error": True, "reason": reason}, 400)
        places = zip(query["latitude"].split(","), query["longitude"].split(","), strict=True)
        found = [self._place(float(lat), float(lon), query) for lat, lon in places]
        whole = _json(found if len(found) > 1 else found[0])
        if self.faults[:1] == ["error with 200"]:
            self.faults.pop(0)
            return _json({"error": True, "reason": "Timeout"})
        return common_fault(self.faults.pop(0), whole) if self.faults else whole

    def _place(self, lat: float, lon: float, query: dict[str, str]) -> dict[str, object]:
        start, end = (np.datetime64(query[key], "D") for key in ("start_date", "end_date"))
        time = np.arange(start.astype("datetime64[h]"), (end + 1).astype("datetime64[h]"))
        n = time.size
        metric = query.get("wind_speed_unit") == "ms"
        values: dict[str, tuple[str, list[float | None]]] = {
            "temperature_2m": ("°C", [None, *np.full(n - 1, 20.0)]),
            "surface_pressure": ("hPa", [900.0] * n),
            "precipitation": ("mm", [0.2] * n),
            "wind_speed_10m": ("m/s", [5.0] * n) if metric else ("km/h", [18.0] * n),
            "wind_direction_10m": ("°", [270.0] * n),
            "soil_moisture_0_to_7cm": ("m³/m³", [0.25] * n),
        }
        asked = query["hourly"].split(",")
        # nodes are those of a grid that is not the one asked for
        return {
            "latitude": round(lat + 0.01, 6), "longitude": round(lon - 0.01, 6), "elevation": 700.0,
            "utc_offset_seconds": 0, "timezone": "GMT",
            "hourly_units": {"time": "iso8601", **{name: self.units.get(name, values[name][0]) for name in asked}},
            "hourly": {"time": [str(t)[:13] + ":00" for t in time], **{name: values[name][1] for name in asked}},
        }  # fmt: skip


def with_faults(
    answer: Callable[[Request], Reply], faults: dict[str, list[str]]
) -> Callable[[Request], Reply]:
    """Return `answer` spoilt at the paths that end as `faults` says, each fault once."""

    def spoilt(request: Request) -> Reply:
        for ending, left in faults.items():
            if request.path.endswith(ending) and left:
                return common_fault(left.pop(0), answer(request))
        return answer(request)

    return spoilt


def arco_zarr(
    root: str, start: str, days: int, shorts: tuple[str, ...] = ("t2m", "tp"), **attrs: str
) -> xr.Dataset:
    """Write and return a globe of 5 degrees in Zarr format 2, an hour a chunk, as the archive is laid out."""
    time = np.datetime64(start, "ns") + np.arange(24 * days) * np.timedelta64(1, "h")
    lat, lon = np.arange(90.0, -90.1, -5.0), np.arange(0.0, 360.0, 5.0)
    dims = ("time", "latitude", "longitude")
    globe = xr.Dataset(
        {
            name: (dims, truth(short, time, lat, lon).astype(np.float32), {"units": UNITS[short]})
            for name, short in LONG.items()
            if short in shorts
        },
        coords={"time": time, "latitude": lat, "longitude": lon},
        attrs=attrs,
    )
    chunks = {name: {"chunks": (1, lat.size, lon.size)} for name in globe.data_vars}
    clock = {"units": "hours since 1900-01-01", "dtype": "int64"}
    globe.to_zarr(root, zarr_format=2, consolidated=True, encoding={**chunks, "time": clock})
    return globe


def _json(content: object, status: int = 200) -> Reply:
    return Reply(status, json.dumps(content).encode(), {"Content-Type": "application/json"})
