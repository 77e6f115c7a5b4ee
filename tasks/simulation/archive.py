"""The world's archive: everything that its providers would publish, written at once or not at all."""

import shutil
import tempfile
from pathlib import Path

from tasks.simulation.catalog import write_catalog
from tasks.simulation.gnss import simulate_gnss, write_gnss
from tasks.simulation.insar import write_insar
from tasks.simulation.terrain import write_elevation
from tasks.simulation.waveforms import write_waveforms
from tasks.simulation.weather import simulate_weather, write_weather
from tasks.simulation.world import World


def write_archive(world: World, root: Path) -> None:
    """Write the archive of `world` to the folder `root`.

    `catalog/ gnss/ insar/<track>/ weather/ waveforms/ static/`; publication times are in the files, or are their
    modification times. Files are written to a folder beside `root` that is renamed at the end, so that `root`
    is whole or absent.

    Raises
    ------
    FileExistsError
        If `root` is there already: an archive is never written over.
    """
    if root.exists():
        raise FileExistsError(f"{root}: there is something already; an archive is written to a new folder")
    root.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{root.name}.", dir=root.parent))
    try:
        weather = simulate_weather(world)
        write_weather(world, weather, unfinished)
        write_elevation(world, unfinished)
        write_catalog(world, unfinished)
        write_gnss(world, simulate_gnss(world), unfinished)
        write_insar(world, weather, unfinished)
        write_waveforms(world, weather, unfinished)
        unfinished.chmod(0o755)
        unfinished.rename(root)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
