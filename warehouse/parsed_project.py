"""The dbt project as dbt has parsed it, kept where Python keeps its compiled modules.

Parsing takes seconds of CPU time and depends on nothing but the project, dbt and its adapters.  As with bytecode, what
cannot be written or read is no error: the project is parsed again.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

_MADE_BY = ("dbt-core", "dbt-adapters", "dbt-common", "dbt-duckdb", "dbt-spark")


def read_parsed(project: Path, profile: str) -> Any:
    """The ``Manifest`` of the project in this folder under dbt's ``profile``; None where none is kept."""
    from dbt.contracts.graph.manifest import Manifest

    try:
        key, _, packed = _file(project, profile).read_bytes().partition(b"\n")
        if key.decode() == _key(project, profile):
            return Manifest.from_msgpack(packed)
    except Exception:  # a file that another version or a disk fault has left; msgpack and dbt raise what they like
        return None
    return None


def keep_parsed(manifest: Any, project: Path, profile: str) -> None:
    """Keep it for the next process, unless this one was told to leave no bytecode (``PYTHONDONTWRITEBYTECODE``)."""
    if sys.dont_write_bytecode:
        return
    file = _file(project, profile)
    passing = file.with_suffix(f".{os.getpid()}")
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        passing.write_bytes(_key(project, profile).encode() + b"\n" + manifest.to_msgpack())
        passing.replace(file)


def _file(project: Path, profile: str) -> Path:
    name = f"parsed-{sha256(profile.encode()).hexdigest()[:8]}"
    return Path(cache_from_source(str(project / f"{name}.py"))).with_suffix(".msgpack")


def _key(project: Path, profile: str) -> str:
    """All that a parsed project depends on."""
    digest = sha256(f"{project} {sys.version} {profile}".encode())
    for name in _MADE_BY:
        with suppress(PackageNotFoundError):
            digest.update(f"{name} {version(name)}".encode())
    for path in sorted(project.rglob("*")):
        if path.suffix in (".sql", ".yml") and path.is_file():
            digest.update(path.relative_to(project).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
