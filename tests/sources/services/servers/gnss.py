"""The GNSS providers on the loopback: their paths, formats and refusals, with a switch for every fault."""

import time
from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate

import numpy as np
from pyproj import Transformer

from tests.sources.services.conftest import Answer, Reply, Request

TO_XYZ = Transformer.from_crs("EPSG:4979", "EPSG:4978")
DAY = np.timedelta64(1, "D")
TENV3_HEADER = (
    "site YYMMMDD yyyy.yyyy __MJD week d reflon _e0(m) __east(m) ____n0(m) _north(m) u0(m) ____up(m) _ant(m) "
    "sig_e(m) sig_n(m) sig_u(m) __corr_en __corr_eu __corr_nu _latitude(deg) _longitude(deg) __height(m)"
)
POS_COLUMNS = (
    "*YYYYMMDD HHMMSS JJJJJ.JJJJ X Y Z Sx Sy Sz Rxy Rxz Ryz NLat Elong Height "
    "dN dE dU Sn Se Su Rne Rnu Reu Soln"
)


def mjd(day: np.datetime64) -> int:
    return int((day - np.datetime64("1858-11-17", "D")).astype(int))


def tenv3(site: str, start: str, enu: np.ndarray, longitude: float = -117.5863) -> str:
    """A file of 23 columns with `enu` (n, 3) m, one row a day from `start`."""
    lines = [TENV3_HEADER]
    for k, (e, n, u) in enumerate(enu):
        day = np.datetime64(start, "D") + k
        stamp, m = day.astype(object).strftime("%y%b%d").upper(), mjd(day)
        lines.append(
            f"{site} {stamp} {2000 + (m - 51544) / 365.25:.4f} {m} {(m - 44244) // 7} {(m - 44244) % 7} -117.6 "
            f"1234 {e:.6f} 3959900 {n:.6f} 715 {u:.6f} 0.0083 0.000700 0.000800 0.003000 0.01 0.02 -0.03 "
            f"35.77 {longitude:.10f} {715 + u:.5f}"
        )
    return "\n".join(lines) + "\n"


def pos(
    site: str,
    start: str,
    enu: np.ndarray,
    solutions: Sequence[str],
    released: str,
    reference: tuple[float, float, float] = (35.77, 242.4137, 715.0),
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0),
    frame: str = "IGS14",
) -> str:
    """A .pos file of motion `enu` (n, 3) m about the mark `reference`, relative to a point `shift` (e, n, u) m off."""
    lat, lon, height = reference
    mark = np.array(TO_XYZ.transform(lat, lon, height))
    east_per_degree = np.linalg.norm(np.array(TO_XYZ.transform(lat, lon + 1e-5, height)) - mark) * 1e5
    north_per_degree = np.linalg.norm(np.array(TO_XYZ.transform(lat + 1e-5, lon, height)) - mark) * 1e5

    def place(e: float, n: float, u: float) -> tuple[float, float, float]:
        return lat + n / north_per_degree, lon + e / east_per_degree, height + u

    origin = place(*shift)
    x, y, z = TO_XYZ.transform(*origin)
    lines = [
        f"PBO Station Position Time Series. Reference Frame : {frame}",
        "Format Version: 1.1.0",
        f"4-character ID: {site}",
        f"Station name  : {site}_Somewhere",
        f"First Epoch   : {start.replace('-', '')} 120000",
        f"Release Date  : {released}",
        f"XYZ Reference position : {x:15.5f} {y:15.5f} {z:15.5f} ({frame})",
        f"NEU Reference position : {origin[0]:16.10f} {origin[1]:16.10f} {origin[2]:11.5f} ({frame}/WGS84)",
        "Start Field Description",
        "dN            Difference in North component from NEU reference position, meters",
        "End Field Description",
        POS_COLUMNS,
    ]
    for k, ((e, n, u), solution) in enumerate(zip(enu, solutions, strict=True)):
        day = np.datetime64(start, "D") + k
        nlat, elong, up = place(e, n, u)
        px, py, pz = TO_XYZ.transform(nlat, elong, up)
        lines.append(
            f" {str(day).replace('-', '')} 120000 {mjd(day)}.5000 {px:.5f} {py:.5f} {pz:.5f} 0.001 0.001 0.001 0 0 0 "
            f"{nlat:.10f} {elong:.10f} {up:.5f} {n - shift[1]:.5f} {e - shift[0]:.5f} {u - shift[2]:.5f} "
            f"0.00100 0.00200 0.00300 0.0 0.0 0.0 {solution}"
        )
    return "\n".join(lines) + "\n"


class Tree:
    """Files by path, each with its Last-Modified; what changes between two reads gets a new one."""

    def __init__(self, files: Mapping[str, str], modified: str = "2019-07-20T00:00") -> None:
        self.files = {path: (text.encode(), modified) for path, text in files.items()}

    def put(self, path: str, text: str, modified: str) -> None:
        self.files[path] = (text.encode(), modified)

    def __call__(self, request: Request) -> Reply:
        if request.path not in self.files:
            return Reply(404, b"<html>404 Not Found</html>")
        body, modified = self.files[request.path]
        stamp = formatdate(np.datetime64(modified, "s").astype(int), usegmt=True)
        if request.headers.get("If-Modified-Since") == stamp:
            return Reply(304)
        return Reply(body=body, headers={"Last-Modified": stamp})


class Guarded:
    """Answers only with a bearer token, each of which expires after so many requests."""

    def __init__(self, answer: Answer, tokens: Mapping[str, int]) -> None:
        self.answer, self.left = answer, dict(tokens)

    def __call__(self, request: Request) -> Reply:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.left.get(token, 0) <= 0:
            return Reply(401, b'{"detail":"Not authenticated"}')
        self.left[token] -= 1
        return self.answer(request)


class Tilde:
    """GeoNet's API: one component an answer, a window is mandatory, and history lags 29 days behind `today`.

    Parameters
    ----------
    series : mapping of (site, component) to a mapping of day to metres
    """

    def __init__(
        self,
        series: Mapping[tuple[str, str], Mapping[str, float]],
        places: Mapping[str, tuple[float, float]],
        today: str,
    ) -> None:
        self.series, self.places, self.today = series, places, np.datetime64(today, "D")

    def __call__(self, request: Request) -> Reply:
        parts = request.path.strip("/").split("/")
        if parts[:2] == ["dataSummary", "gnss"]:
            return Reply(body=self._summary().encode(), headers={"Content-Type": "application/json"})
        if len(parts) != 9 or parts[:2] != ["data", "gnss"] or parts[3:6] != ["displacement", "nil", "1d"]:
            return Reply(400, b"a time window is mandatory")
        if request.headers.get("Accept") != "text/csv":
            return Reply(body=b"[]", headers={"Content-Type": "application/json"})
        site, component = parts[2], parts[6]
        if parts[7] == "latest":
            start, end = self.today - int(parts[8].removesuffix("d")), self.today
        else:
            start, end = (
                np.datetime64(parts[7], "D"),
                min(np.datetime64(parts[8], "D"), self.today - 29 * DAY),
            )
        rows = [
            f"{site},displacement,nil,1d,{component},{day}T12:00:00.000Z,{value:.5f},0.00150,m"
            for day, value in self.series.get((site, component), {}).items()
            if start <= np.datetime64(day, "D") < end
        ]
        if not rows:
            return Reply(404, b'{"error":"no data"}')
        head = "station,name,sensorCode,method,aspect,timestamp,value,error,unit"
        return Reply(body="\n".join([head, *rows]).encode() + b"\n", headers={"Content-Type": "text/csv"})

    def _summary(self) -> str:
        stations = ",".join(
            f'"{site}":{{"id":"{site}","latitude":{lat},"longitude":{lon},"sensorCode":{{"nil":{{}}}}}}'
            for site, (lat, lon) in self.places.items()
        )
        return f'{{"domain":{{"gnss":{{"station":{{{stations}}}}}}}}}'


def faulty(answer: Answer, faults: Mapping[int, str], slow_s: float = 0.0) -> Callable[[Request], Reply]:
    """`answer`, except that request number k (from 0) meets `faults[k]`."""
    count = [0]

    def reply(request: Request) -> Reply:
        fault = faults.get(count[0])
        count[0] += 1
        whole = answer(request)
        if fault == "429":
            return Reply(429, b"slow down", {"Retry-After": "0"})
        if fault == "503":
            return Reply(503, b"overloaded")
        if fault == "truncated":
            return whole._replace(body=whole.body[: len(whole.body) // 2], announced=len(whole.body))
        if fault == "slow":
            time.sleep(slow_s)
        if fault == "html":
            return Reply(body=b"<html><body>maintenance</body></html>")
        if fault == "empty":
            return Reply(204)
        return whole

    return reply
