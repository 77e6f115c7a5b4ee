"""The Dask cluster in which a cube is computed: a named scheduler, or threads of this process."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from distributed import Client, LocalCluster


@contextmanager
def dask_cluster(address: str | None, threads: int) -> Iterator[Client]:
    """Give a client whose scheduler takes every Dask computation inside the `with`.

    Parameters
    ----------
    address : str or None
        Scheduler to use (`tcp://host:port`); None starts a local cluster of `threads` threads in this
        process, which never forks and listens on loopback only.
    threads : int
        Threads of the local cluster; ignored with `address`.
    """
    logging.getLogger("distributed").setLevel(logging.WARNING)  # its start-up talk says nothing of the cube
    if address is not None:
        with Client(address) as client:
            yield client
        return
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=threads,
            processes=False,
            # None would still open port 8787, on every address.
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client
