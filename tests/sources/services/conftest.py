"""A web server on the loopback that serves a folder, or what a test's function answers, with real servers' faults."""

import threading
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

# `serve_forever` looks so often whether it is to end; half a second, its default, is what most tests here take.
CLOSES_WITHIN_S = 0.02


class Request(NamedTuple):
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


class Reply(NamedTuple):
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = {}  # noqa: RUF012
    announced: int | None = None  # Content-Length, if not that of the body


Answer = Callable[[Request], Reply]


class Server:
    """Answers with `answer`; keeps every request it saw."""

    def __init__(self, answer: Answer) -> None:
        self.answer, self.seen = answer, list[Request]()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def _handle(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                path, _, query = self.path.partition("?")
                request = Request(self.command, path, query, dict(self.headers), self.rfile.read(length))
                outer.seen.append(request)
                reply = outer.answer(request)
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                announced = len(reply.body) if reply.announced is None else reply.announced
                self.send_header("Content-Length", str(announced))
                if announced != len(reply.body):
                    self.send_header("Connection", "close")
                    self.close_connection = True
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_POST = _handle  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, args=(CLOSES_WITHIN_S,), daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def folder_answer(root: Path) -> Answer:
    """Files with Last-Modified and ETag, folders as a page of links, 304 and 404 as they are due."""

    def answer(request: Request) -> Reply:
        from urllib.parse import unquote

        path = root / unquote(request.path).lstrip("/")
        if path.is_dir():
            rows = [
                f"<a href='{p.name}{'/' if p.is_dir() else ''}'>{p.name}</a>" for p in sorted(path.iterdir())
            ]
            return Reply(body=("<html><a href='../'>up</a><a href='?C=N'>Name</a>" + "".join(rows)).encode())
        if not path.is_file():
            return Reply(404)
        modified = formatdate(path.stat().st_mtime, usegmt=True)
        if request.headers.get("If-Modified-Since") == modified:
            return Reply(304)
        return Reply(body=path.read_bytes(), headers={"Last-Modified": modified})

    return answer


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], Server]]:
    servers: list[Server] = []

    def start(answer: Answer) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def serve_folder(serve: Callable[[Answer], Server]) -> Callable[[Path], Server]:
    return lambda root: serve(folder_answer(root))


@pytest.fixture(name="Reply")
def reply_type() -> type[Reply]:
    return Reply
