"""Files that people write in TOML: read into a type, and refused by file, line and key."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from ladder.errors import UsageError

File = TypeVar("File")


@dataclass(frozen=True)
class TomlFile:
    """The text of a file; ``origin`` names it in errors."""

    text: str
    origin: str

    def read(self, kind: type[File]) -> File:
        """The file as a msgspec type.  Raises ``UsageError`` naming the first key that does not fit."""
        try:
            raw = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{self.origin}: no TOML: {error}") from None
        try:
            return msgspec.convert(raw, kind)
        except msgspec.ValidationError as error:
            found = re.search(r" - at `\$\.?([^`]*)`$", str(error))
            path, reason = (found[1], str(error)[: found.start()]) if found else ("", str(error))
            unknown = re.search(r"unknown field `([^`]+)`", reason)
            missing = re.search(r"missing required field `([^`]+)`", reason)
            if unknown:
                path, reason = f"{path}.{unknown[1]}".lstrip("."), "there is no such key"
            elif missing:
                path, reason = f"{path}.{missing[1]}".lstrip("."), "is missing"
            raise self.refuse(path, reason) from None

    def refuse(self, path: str, reason: str) -> UsageError:
        """The error to raise about a key such as ``on[2].is[0].tier``."""
        return UsageError(f"{self.origin}, line {self._line_of(path)}, {path or 'the file'}: {reason}")

    def _line_of(self, path: str) -> int:
        """The line (from 1) on which a key begins; tomllib keeps no positions."""
        lines = self.text.splitlines()
        start = 0
        keys = re.split(r"\.", path) if path else []
        for key in keys:
            name, _, index = key.partition("[")
            header = re.compile(rf"\s*\[\[\s*{re.escape(name)}\s*\]\]")
            headers = [n for n, line in enumerate(lines) if header.match(line)]
            if headers and index:
                place = int(index.rstrip("]"))
                start = headers[place] if place < len(headers) else start
                continue
            pattern = re.compile(rf"""(^|[\s{{,])["']?{re.escape(name)}["']?\s*=""")
            for n in range(start, len(lines)):
                if n > start and re.match(r"\s*\[\[", lines[n]) and start:
                    break
                if pattern.search(lines[n].split("#")[0]):
                    start = n
                    break
        return start + 1
