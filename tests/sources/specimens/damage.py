"""What happens to payloads on their way: damage of any file's bytes, of a text's lines and columns, of archives."""

import gzip
import io
import re
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np

Damage = Callable[[bytes, np.random.Generator], bytes | None]
_NUMBER: Final = re.compile(r"-?\d+\.\d+")
_BOMB: Final = 200 << 20


def _flip(count: int) -> Damage:
    def damage(content: bytes, rng: np.random.Generator) -> bytes | None:
        if not content:
            return None
        array = bytearray(content)
        for at in rng.integers(0, len(array), count):
            array[at] ^= 1 << int(rng.integers(0, 8))
        return bytes(array)

    return damage


def _cut(content: bytes, rng: np.random.Generator) -> bytes | None:
    return content[: int(rng.integers(1, len(content)))] if len(content) > 1 else None


def _zero(content: bytes, rng: np.random.Generator) -> bytes | None:
    at, length = int(rng.integers(0, len(content))), int(rng.integers(16, 4096))
    return content[:at] + bytes(len(content[at : at + length])) + content[at + length :]


def _noise(content: bytes, rng: np.random.Generator) -> bytes | None:
    at, length = int(rng.integers(0, len(content))), int(rng.integers(16, 4096))
    return content[:at] + rng.bytes(len(content[at : at + length])) + content[at + length :]


def _doubled(content: bytes, rng: np.random.Generator) -> bytes | None:
    return content + content


def _swapped(content: bytes, rng: np.random.Generator) -> bytes | None:
    half = len(content) // 2
    return content[half:] + content[:half]


def _of_text(change: Callable[[list[str], np.random.Generator], str | None]) -> Damage:
    """Damage of the lines of a text, plain or gzip'ed; None for what is no text of several lines."""

    def damage(content: bytes, rng: np.random.Generator) -> bytes | None:
        is_packed = content[:2] == b"\x1f\x8b"
        try:
            text = (gzip.decompress(content) if is_packed else content).decode()
        except (UnicodeDecodeError, gzip.BadGzipFile, EOFError):
            return None
        lines = text.splitlines()
        changed = change(lines, rng) if len(lines) > 2 else None
        if changed is None or changed == text:
            return None
        encoded = changed.encode(errors="surrogatepass")
        return gzip.compress(encoded, mtime=0) if is_packed else encoded

    return damage


def _line_dropped(lines: list[str], rng: np.random.Generator) -> str | None:
    del lines[int(rng.integers(0, len(lines)))]
    return "\n".join(lines) + "\n"


def _line_doubled(lines: list[str], rng: np.random.Generator) -> str | None:
    k = int(rng.integers(0, len(lines)))
    return "\n".join([*lines[: k + 1], *lines[k:]]) + "\n"


def _line_endless(lines: list[str], rng: np.random.Generator) -> str | None:
    k = int(rng.integers(0, len(lines)))
    lines[k] = lines[k] * (1 + (1 << 20) // (len(lines[k]) + 1))
    return "\n".join(lines) + "\n"


def _header_lost(lines: list[str], rng: np.random.Generator) -> str | None:
    return "\n".join(lines[1:]) + "\n"


def _upside_down(lines: list[str], rng: np.random.Generator) -> str | None:
    return "\n".join([lines[0], *reversed(lines[1:])]) + "\n"


def _windows(lines: list[str], rng: np.random.Generator) -> str | None:
    return "\r\n".join(lines) + "\r\n"


def _columns(swap: bool) -> Callable[[list[str], np.random.Generator], str | None]:
    """Two columns swapped, or one lost, in all lines but the header."""

    def change(lines: list[str], rng: np.random.Generator) -> str | None:
        mark = "," if lines[-1].count(",") > 1 else None
        width = len(lines[-1].split(mark))
        if width < 3:
            return None
        one, two = (int(k) for k in rng.choice(width, 2, replace=False))
        out = [lines[0]]
        for line in lines[1:]:
            fields = line.split(mark)
            if len(fields) == width:
                if swap:
                    fields[one], fields[two] = fields[two], fields[one]
                else:
                    del fields[one]
            out.append((mark or " ").join(fields))
        return "\n".join(out) + "\n"

    return change


def _number(text: str) -> Callable[[list[str], np.random.Generator], str | None]:
    """One number of the text is `text` instead."""

    def change(lines: list[str], rng: np.random.Generator) -> str | None:
        whole = "\n".join(lines) + "\n"
        found = list(_NUMBER.finditer(whole))
        if not found:
            return None
        at = found[int(rng.integers(0, len(found)))]
        return whole[: at.start()] + text + whole[at.end() :]

    return change


def _xml(inserted: str, used: str) -> Callable[[list[str], np.random.Generator], str | None]:
    """A document type with entities, one of which stands where a value stood."""

    def change(lines: list[str], rng: np.random.Generator) -> str | None:
        whole = "\n".join(lines)
        if "<?xml" not in whole[:60]:
            return None
        end = whole.index("?>") + 2
        body = re.sub(r"(<value>|<Latitude[^>]*>)", rf"\g<1>{used}", whole[end:], count=1)
        return whole[:end] + inserted + body

    return change


def _nested(lines: list[str], rng: np.random.Generator) -> str | None:
    whole = "\n".join(lines)
    if "<?xml" not in whole[:60]:
        return "[" * 200_000 if whole.lstrip().startswith(("{", "[")) else None
    end = whole.index("?>") + 2
    return whole[:end] + "<a>" * 100_000 + whole[end:]


_LAUGHS: Final = (
    '<!DOCTYPE a [<!ENTITY l0 "ha">'
    + "".join(f'<!ENTITY l{k} "{f"&l{k - 1};" * 10}">' for k in range(1, 12))
    + "]>"
)
_FILE: Final = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'


def _zip_members(content: bytes, rng: np.random.Generator) -> bytes | None:
    """A member of a ZIP that leaves its folder, before the others."""
    return _rezipped(content, lambda out: out.writestr("../../../escaped.nc", b"outside"))


def _zip_bomb(content: bytes, rng: np.random.Generator) -> bytes | None:
    return _rezipped(content, lambda out: out.writestr("data_stream-oper_stepType-max.nc", bytes(_BOMB)))


def _rezipped(content: bytes, add: Callable[[zipfile.ZipFile], object]) -> bytes | None:
    if content[:2] != b"PK":
        return None
    body = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as out:
        add(out)
        for member in old.infolist():
            out.writestr(member, old.read(member))
    return body.getvalue()


def _tar_members(content: bytes, rng: np.random.Generator) -> bytes | None:
    """Members of a tar that lie outside, are links, or are bombs, beside the others."""
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as old:
            members = [(m, old.extractfile(m)) for m in old.getmembers()]
            body = io.BytesIO()
            with tarfile.open(fileobj=body, mode="w:gz", compresslevel=1) as out:
                link = tarfile.TarInfo("mseed/link.mseed")
                link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
                out.addfile(link)
                outside = tarfile.TarInfo("../../escaped.mseed")
                outside.size = 7
                out.addfile(outside, io.BytesIO(b"outside"))
                for member, stream in members:
                    out.addfile(member, stream)
                if rng.random() < 0.5:
                    bomb = tarfile.TarInfo("mseed/bomb.mseed")
                    bomb.size = _BOMB
                    out.addfile(bomb, io.BytesIO(bytes(_BOMB)))
            return body.getvalue()
    except (tarfile.TarError, EOFError, OSError):
        return None


def _gzip_bomb(content: bytes, rng: np.random.Generator) -> bytes | None:
    return gzip.compress(bytes(_BOMB), 6, mtime=0) if content[:2] == b"\x1f\x8b" else None


ANY: Final[Mapping[str, Damage]] = {
    "one bit": _flip(1),
    "many bits": _flip(64),
    "cut off": _cut,
    "empty": lambda content, rng: b"",
    "zeros": _zero,
    "noise": _noise,
    "all noise": lambda content, rng: rng.bytes(min(len(content), 4096)),
    "twice": _doubled,
    "halves swapped": _swapped,
    "a web page": lambda content, rng: b"<!DOCTYPE html><html><body>maintenance</body></html>",
    "gzip around it": lambda content, rng: gzip.compress(content, mtime=0),
    "bytes behind": lambda content, rng: content + rng.bytes(37),
}
TEXT: Final[Mapping[str, Damage]] = {
    "line dropped": _of_text(_line_dropped),
    "line doubled": _of_text(_line_doubled),
    "line without end": _of_text(_line_endless),
    "header lost": _of_text(_header_lost),
    "upside down": _of_text(_upside_down),
    "ends of Windows": _of_text(_windows),
    "columns swapped": _of_text(_columns(True)),
    "column lost": _of_text(_columns(False)),
    **{
        f"number {shown}": _of_text(_number(text))
        for shown, text in {
            "huge": "1e308", "beyond": "1e999", "nan": "nan", "inf": "-inf", "blank": "", "no data": "-9999",
            "underscore": "1_0", "other digits": "٣.٤", "word": "n/a", "comma": "3,14", "negative": "-123456.7",
        }.items()
    },
    "entities that laugh": _of_text(_xml(_LAUGHS, "&l11;")),
    "entity of a file": _of_text(_xml(_FILE, "&x;")),
    "nested without end": _of_text(_nested),
    "UTF-16": lambda content, rng: content.decode().encode("utf-16") if _is_text(content) else None,
    "a mark of order": lambda content, rng: b"\xef\xbb\xbf" + content if _is_text(content) else None,
    "Latin-1": lambda content, rng: content.replace(b"a", "\xe4".encode("latin-1"), 3) if _is_text(content) else None,
}  # fmt: skip
PACKED: Final[Mapping[str, Damage]] = {
    "member outside": _zip_members,
    "ZIP bomb": _zip_bomb,
    "members outside": _tar_members,
    "gzip bomb": _gzip_bomb,
}


def _is_text(content: bytes) -> bool:
    try:
        return bool(content.decode().isprintable() or "\n" in content.decode())
    except UnicodeDecodeError:
        return False


def payloads_of(folder: Path) -> list[Path]:
    """The files of a specimen, in the order of their names."""
    return sorted(path for path in folder.rglob("*") if path.is_file())
