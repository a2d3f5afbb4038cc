"""Loaded by Python before the code of a part of the road: the faults that only happen inside a process.

They are asked for by files:

- ``NAME.json`` in the folder above ``CHAOS_FAULTS``, ``{"at", "table", "do", "seconds", "once"}``: whichever process
  comes to that place next; what happens ``once`` leaves ``NAME.fired`` behind, with the number of the process,
  anything else a mark ``NAME.hit``;
- ``clock`` in the folder itself: the seconds by which the clock of this process is wrong; it goes by what stands in
  ``clock.seen`` then.

Nothing of it is known to the product: it hooks into the standard library and into the packages that write.
"""

from __future__ import annotations

import errno
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER = Path(os.environ["CHAOS_FAULTS"]) if "CHAOS_FAULTS" in os.environ else None
_shift_s = 0.0
_real_time = time.time
_real_fsync: Callable[[Any], None] = os.fsync


def due(at: str, table: str) -> dict[str, Any] | None:
    """The fault that is asked for at this place, if any."""
    if FOLDER is None:
        return None
    for file in sorted(FOLDER.parent.glob("*.json")):
        try:
            wanted: dict[str, Any] = json.loads(file.read_text())
            if wanted["at"] != at or wanted.get("table", table) != table:
                continue
            if wanted.get("once", True):
                fired = file.rename(file.with_suffix(".fired"))
                fired.write_text(str(os.getpid()))
            else:
                file.with_suffix(".hit").touch()
        except (FileNotFoundError, ValueError):  # taken away, or not written to its end
            continue
        print(f"chaos: {file.stem}: {wanted['do']} at {at} of {table}", file=sys.stderr, flush=True)
        return wanted
    return None


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def no_space(what: object) -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(what))


def fsync(fd: Any) -> None:
    wanted = due("fsync", "")
    if wanted is not None:
        time.sleep(wanted["seconds"])
    _real_fsync(fd)


def hook_parquet(module: Any) -> None:
    write = module.write_table

    def write_table(rows: Any, where: Any, *more: Any, **options: Any) -> Any:
        name = str(getattr(where, "name", where))
        table = next(
            (part for part in Path(name).parts if part in ("events", "rejects", "checkpoints", "sessions")), ""
        )
        wanted = due("data", table)
        if wanted is not None:
            if wanted["do"] == "hang":
                time.sleep(wanted["seconds"])
            elif wanted["do"] == "stand still":
                os.kill(os.getpid(), signal.SIGSTOP)
            elif wanted["do"] == "no space":
                where.write(b"PAR1 and no more")
                where.flush()
                raise no_space(name)
            elif wanted["do"] == "die":
                where.write(b"PAR1 and no more")
                where.flush()
                die()
        return write(rows, where, *more, **options)

    module.write_table = write_table


def hook_delta(module: Any) -> None:
    kind = module.DeltaTable
    commit = kind.create_write_transaction

    def create_write_transaction(self: Any, *more: Any, **options: Any) -> None:
        table = Path(self.table_uri).name
        before = due("before commit", table)
        if before is not None:
            if before["do"] == "die":
                die()
            raise no_space(self.table_uri)
        commit(self, *more, **options)
        after = due("after commit", table)
        if after is not None:
            if after["do"] == "die":
                die()
            time.sleep(after["seconds"])
            if after["do"] == "lose the answer":
                raise OSError(errno.EIO, os.strerror(errno.EIO), self.table_uri)

    kind.create_write_transaction = create_write_transaction


class Shifted(datetime):
    """Tells the time as a clock does that is wrong."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # what is told is an ordinary time
        return datetime.now(tz) + timedelta(seconds=_shift_s)


def hook_clock(module: Any) -> None:
    module.datetime = Shifted


def watch_clock(file: Path) -> None:
    global _shift_s
    while True:
        try:
            told = file.read_text()
            if float(told) != _shift_s:
                _shift_s = float(told)
                file.with_suffix(".seen").write_text(told)
        except (FileNotFoundError, ValueError):
            _shift_s = 0.0
        time.sleep(0.05)


HOOKS: dict[str, Callable[[Any], None]] = {
    "pyarrow.parquet": hook_parquet,
    "deltalake": hook_delta,
    "stream.app": hook_clock,
    "producers.collector": hook_clock,
}


class Hooking(importlib.abc.Loader):
    """A loader that has a module hooked into once it is there."""

    def __init__(self, loader: Any, hook: Callable[[Any], None]) -> None:
        self._loader = loader
        self._hook = hook

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        created: ModuleType | None = self._loader.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._hook(module)


class Finder(importlib.abc.MetaPathFinder):
    """Finds the modules to hook into where Python would have found them, however often it is asked."""

    def __init__(self) -> None:
        self._asking: set[str] = set()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        hook = HOOKS.get(name)
        if hook is None or name in self._asking:
            return None
        self._asking.add(name)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._asking.discard(name)
        if spec is not None and spec.loader is not None:
            spec.loader = Hooking(spec.loader, hook)
        return spec


if FOLDER is not None:
    os.fsync = fsync
    time.time = lambda: _real_time() + _shift_s
    sys.meta_path.insert(0, Finder())
    threading.Thread(target=watch_clock, args=(FOLDER / "clock",), name="clock", daemon=True).start()
