"""HTTP digest authentication as FDSN nodes ask for it at queryauth (RFC 2617, MD5, qop auth)."""

import re
from hashlib import md5

from ..conftest import Answer, Reply, Request


def _hash(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()


class Digest:
    """Answers only who proves to know the password, each proof once; `refused` counts the others."""

    nonce = "5f1b2c"

    def __init__(self, answer: Answer, user: str, password: str, realm: str = "FDSN") -> None:
        self.answer, self.realm = answer, realm
        self.secret = _hash(f"{user}:{realm}:{password}")
        self.refused = 0
        self.used: set[str] = set()

    def __call__(self, request: Request) -> Reply:
        told = dict(re.findall(r'(\w+)="?([^",]*)"?', request.headers.get("Authorization", "")))
        path = f"{request.path}?{request.query}" if request.query else request.path
        expected = _hash(
            f"{self.secret}:{self.nonce}:{told.get('nc')}:{told.get('cnonce')}:auth:"
            + _hash(f"{request.method}:{path}")
        )
        if told.get("response") != expected or told.get("uri") != path or told["nc"] in self.used:
            self.refused += 1
            said = f'Digest realm="{self.realm}", nonce="{self.nonce}", qop="auth", algorithm=MD5'
            return Reply(401, b"Unauthorized", {"WWW-Authenticate": said})
        self.used.add(told["nc"])
        return self.answer(request)
