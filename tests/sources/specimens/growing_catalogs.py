"""Catalogs that grow: late firsts, revisions, withdrawals, and listings that are written anew."""

from pathlib import Path
from typing import Final

from tests.sources.services.servers.fdsn import Quake, csv_of, quakeml_of
from tests.sources.specimens.specimen import put


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
        put(folder / f"data/{k}.csv", csv_of(quakes))


def quakeml(folder: Path, stage: int) -> None:
    for k, quakes in enumerate(_versions()[stage]):
        put(folder / f"data/{k}.xml", quakeml_of(quakes))


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
            put(folder / f"data/{year}.catalog", "#YYY/MM/DD ...\n" + text)


def scedc_m3(folder: Path, stage: int) -> None:
    for part in range(stage + 1):
        rows = [f"{k},2019-07-0{1 + k} 10:00:00,-117.5,35.5,{3 + 0.1 * part}" for k in range(part, part + 3)]
        put(
            folder / f"data/{'cab'[part]}.csv",
            "\n".join(["index,time,longitude,latitude,magnitude", *rows]) + "\n",
        )


def relocated(folder: Path, stage: int) -> None:
    for part in range(stage + 1):
        rows = [
            f"{k},2019-07-0{1 + k},10:00:00.000,3.{part},-117.5,35.5,7.0,1" for k in range(part, part + 3)
        ]
        put(folder / f"data/{'cab'[part]}.csv", "\n".join(rows) + "\n")


WRITERS: Final = {
    "comcat": comcat, "quakeml": quakeml, "scedc": scedc, "scedc_m3": scedc_m3, "relocated": relocated,
}  # fmt: skip
