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


class ParsedProject:
    """What is kept of the project in this folder under dbt's ``profile``, as its files are when this is made.

    It is kept beside the project's bytecode or, where none may or can be written there, in ``work``.
    """

    def __init__(self, project: Path, profile: str, work: Path) -> None:
        self._project = project
        self._profile = profile
        self._work = work
        self._key = _key(project, profile)

    def read(self) -> Any:
        """Its ``Manifest``; None where none is kept."""
        from dbt.contracts.graph.manifest import Manifest
        from dbt.parser.manifest import extended_mashumuro_decoder

        for file in self._files():
            # Another version or a disk fault may have left it; msgpack and dbt raise what they like.
            with suppress(Exception):
                said, _, packed = file.read_bytes().partition(b"\n")
                if said.decode() == self._said(packed):
                    return Manifest.from_msgpack(packed, decoder=extended_mashumuro_decoder)
        return None

    def keep(self, manifest: Any) -> None:
        """Keep it for the next process, unless the project has changed since this was made."""
        from dbt.parser.manifest import extended_mashumaro_encoder

        if _key(self._project, self._profile) != self._key:
            return
        for file in self._files():
            passing = file.with_suffix(f".{os.getpid()}")
            with suppress(Exception):
                packed = manifest.to_msgpack(extended_mashumaro_encoder)
                file.parent.mkdir(parents=True, exist_ok=True)
                passing.write_bytes(self._said(packed).encode() + b"\n" + packed)
                passing.replace(file)
                return

    def _files(self) -> list[Path]:
        name = f"parsed-{sha256(self._profile.encode()).hexdigest()[:8]}"
        beside = [] if sys.dont_write_bytecode else [Path(cache_from_source(str(self._project / f"{name}.py")))]
        return [file.with_suffix(".msgpack") for file in (*beside, self._work / name)]

    def _said(self, packed: bytes) -> str:
        return f"{self._key} {sha256(packed).hexdigest()}"


def _key(project: Path, profile: str) -> str:
    """All that a parsed project depends on."""
    digest = sha256(f"{project} {sys.version} {profile}".encode())
    for name in _MADE_BY:
        with suppress(PackageNotFoundError):
            digest.update(f"{name} {version(name)}".encode())
    for path in sorted(project.rglob("*")):
        if path.suffix in (".sql", ".yml", ".yaml", ".csv", ".md") and path.is_file():
            digest.update(path.relative_to(project).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
