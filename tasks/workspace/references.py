"""Who refers to a snapshot: the files of the state folder that name one."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from tasks.cubes.housekeeping import snapshot_ids
from tasks.workspace import Workspace


def references_of_files(workspace: Workspace) -> dict[str, str]:
    """Return the snapshots that issued forecasts, kept results and the latest reports name, each with who names it.

    A kept result is one that a later flow takes up (`Kept`): the latest cube, what was trained, what serves. The
    bundles whose folders it names refer to the cubes that they were trained on. Whatever in a file looks like a
    snapshot's id counts, so that a form that changes loses no reference.

    Raises
    ------
    ValueError
        If a forecast's manifest names no snapshot: it cannot be told what it was made from.
    """
    found: dict[str, str] = {}
    for manifest in sorted(workspace.forecasts.glob("*/*/manifest.json")):
        named = snapshot_ids(manifest.read_text())
        if not named:
            raise ValueError(f"{manifest}: expected the snapshot of a cube, found none; nothing was removed")
        _note(found, named, f"forecast {manifest.parent.parent.name} {manifest.parent.name}")
    for kept in sorted((workspace.home / "runs").glob("*/*.json")):
        text = kept.read_text()
        _note(found, snapshot_ids(text), f"kept {kept.parent.name}/{kept.name}")
        for folder in _texts(json.loads(text)):
            card = Path(folder) / "bundle.json"
            if card.is_file():
                _note(found, snapshot_ids(card.read_text()), f"network {card.parent.name}")
    for latest in ("latest/summary.json", "quality/latest/quality.json"):
        page = workspace.reports / latest
        if page.is_file():
            _note(found, snapshot_ids(page.read_text()), f"report {latest}")
    return found


def _note(found: dict[str, str], named: Iterable[str], by: str) -> None:
    for snapshot in named:
        found.setdefault(snapshot, by)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)
