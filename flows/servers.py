"""Start and stop the machine room on loopback: Prefect server, worker and deployments, MLflow."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from flows.settings import Settings, answers

POOL = "quakecube"
_ROOT = Path(__file__).resolve().parents[1]


class ServerError(RuntimeError):
    """A server did not start; the message names its log."""


def _bin(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _state(current: Settings) -> Path:
    return current.home.resolve() / "servers" / "servers.json"


def _environment(current: Settings) -> dict[str, str]:
    """Return the environment of the servers: absolute paths, and no proxy for loopback."""
    home = current.home.resolve()
    environment = dict(os.environ)
    environment |= {
        "PREFECT_API_URL": f"{current.prefect_url}/api",
        "QUAKECUBE_HOME": str(home),
        "QUAKECUBE_CONF": str(current.conf_dir),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
    if current.archive is not None:
        environment["QUAKECUBE_ARCHIVE"] = str(current.archive.resolve())
    return environment


def _start(name: str, command: Sequence[str], current: Settings) -> int:
    log = _state(current).with_name(f"{name}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        process = subprocess.Popen(
            command,
            stdout=sink,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            cwd=current.home.resolve(),
            env=_environment(current),
        )
    return process.pid


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _wait(url: str, pid: int, log: Path, seconds: float = 180.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answers(url):
            return
        if not _alive(pid) or _is_zombie(pid):
            raise ServerError(f"{log.stem} ended before it answered on {url}; see {log}")
        time.sleep(0.5)
    raise ServerError(f"{log.stem} did not answer on {url} within {seconds:.0f} s; see {log}")


def _is_zombie(pid: int) -> bool:
    with contextlib.suppress(OSError, ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    return False


def _require_free(port: int, what: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ServerError(
                f"port {port} on 127.0.0.1 is taken, {what} cannot start; "
                f"set QUAKECUBE_{what.upper()}_PORT to a free one"
            ) from error


def _prefect(current: Settings, *arguments: str) -> None:
    done = subprocess.run(
        [_bin("prefect"), "--no-prompt", *arguments],
        env=_environment(current),
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    if done.returncode:
        raise ServerError(f"`prefect {' '.join(arguments)}` failed: {done.stdout[-800:]}{done.stderr[-800:]}")


def running(current: Settings) -> dict[str, object] | None:
    """Return what `up` wrote if its Prefect server still answers, else None."""
    path = _state(current)
    if not path.is_file():
        return None
    state: dict[str, object] = json.loads(path.read_text())
    return state if answers(f"{state['prefect']}/api/health") else None


def up(current: Settings) -> dict[str, object]:
    """Start the servers on 127.0.0.1, deploy the flows, start a worker; return their addresses.

    Raises
    ------
    ServerError
        If a port is taken or a server does not answer; what had started is stopped again.
    """
    if (state := running(current)) is not None:
        return state
    down(current)
    _require_free(current.prefect_port, "prefect")
    _require_free(current.mlflow_port, "mlflow")
    workspace = current.workspace()
    path = _state(current)
    pids: dict[str, int] = {}
    born: dict[str, float] = {}
    state = {"prefect": current.prefect_url, "mlflow": current.mlflow_url, "pids": pids, "born": born}

    def launch(name: str, *command: str) -> None:
        pids[name] = _start(name, command, current)
        born[name] = psutil.Process(pids[name]).create_time()
        path.write_text(json.dumps(state))

    try:
        launch(
            "prefect",
            _bin("prefect"),
            "server",
            "start",
            "--host",
            "127.0.0.1",
            "--port",
            str(current.prefect_port),
        )
        launch(
            "mlflow",
            *(
                _bin("mlflow"),
                "server",
                "--host",
                "127.0.0.1",
                "--port",
                str(current.mlflow_port),
                "--workers",
                "1",
            ),
            *("--backend-store-uri", workspace.tracking_uri),
            *("--artifacts-destination", (workspace.home / "mlartifacts").as_uri()),
        )
        _wait(f"{current.prefect_url}/api/health", pids["prefect"], path.with_name("prefect.log"))
        _prefect(current, "work-pool", "create", POOL, "--type", "process", "--overwrite")
        _prefect(current, "deploy", "--all", "--prefect-file", str(_ROOT / "infra" / "prefect.yaml"))
        launch("worker", _bin("prefect"), "worker", "start", "--pool", POOL, "--name", "quakecube-worker")
        _wait(f"{current.mlflow_url}/health", pids["mlflow"], path.with_name("mlflow.log"))
    except ServerError:
        down(current)
        raise
    return state


def _is_ours(pid: int, born: float) -> bool:
    """Return whether `pid` is still the process that we started: after a reboot it may be a stranger's."""
    try:
        return bool(abs(psutil.Process(pid).create_time() - born) < 1.0)
    except psutil.NoSuchProcess:
        return False


def _stop(pid: int) -> None:
    """End a process group: TERM, TERM again (a Prefect worker ends on the second), KILL."""
    for sign, patience in ((signal.SIGTERM, 8.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(pid, sign)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if _is_zombie(pid) or not _alive(pid):
                break
            time.sleep(0.1)


def down(current: Settings) -> list[str]:
    """Stop what `up` started; return the names of the servers."""
    path = _state(current)
    if not path.is_file():
        return []
    state = json.loads(path.read_text())
    names = list(state.get("pids", {}))
    for name in reversed(names):
        if _is_ours(int(state["pids"][name]), float(state["born"][name])):
            _stop(int(state["pids"][name]))
    path.unlink()
    return names
