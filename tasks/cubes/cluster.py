"""The Dask cluster in which a cube is computed: a named scheduler, or threads of this process."""

from collections.abc import Iterator
from contextlib import contextmanager

from distributed import Client, LocalCluster


@contextmanager
def dask_cluster(address: str | None, threads: int) -> Iterator[Client]:
    """Give a client whose scheduler takes every Dask computation inside the `with`.

    Parameters
    ----------
    address : str or None
        Scheduler to use (`tcp://host:port`); None starts a local cluster of `threads` threads in this process,
        which never forks and opens no dashboard.
    threads : int
        Threads of the local cluster; ignored with `address`.
    """
    if address is not None:
        with Client(address) as client:
            yield client
        return
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=threads, processes=False, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client
