"""What the tests of live ingest run in a process of its own: ingest REGION, write the reports to RESULTS.

Usage: live_ingest_run.py REGION RESULTS [cube]; with `cube` the cube is built as well.
"""

import sys
from pathlib import Path

from flows.settings import prepare_environment, settings

prepare_environment(settings())

from flows.build_cube import build_cube  # noqa: E402
from flows.forms import CubeForm, IngestForm  # noqa: E402
from flows.ingest import ingest  # noqa: E402

if __name__ == "__main__":
    result = ingest(IngestForm(region=sys.argv[1]))
    Path(sys.argv[2]).write_text(result.model_dump_json())
    if "cube" in sys.argv:
        build_cube(CubeForm(region=sys.argv[1]))
