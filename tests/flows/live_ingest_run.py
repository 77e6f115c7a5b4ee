"""What test_live_ingest.py runs in a process of its own: ingest REGION, write the reports to RESULTS."""

import sys
from pathlib import Path

from flows.settings import prepare_environment, settings

prepare_environment(settings())

from flows.forms import IngestForm  # noqa: E402
from flows.ingest import ingest  # noqa: E402

if __name__ == "__main__":
    result = ingest(IngestForm(region=sys.argv[1]))
    Path(sys.argv[2]).write_text(result.model_dump_json())
