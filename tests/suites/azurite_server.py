"""Azurite, Microsoft's own emulator of Azure's blob storage, from npm: installed from its lock file, then started."""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import httpx

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Those that Azurite documents for everybody."""

_OURS = Path(__file__).parent / "azurite"
_STARTS_WITHIN_S = 60.0


def installed(cache: Path) -> Path:
    """The folder with its packages, installed when they are not there yet (a third of a gigabyte); needs Node."""
    lock = (_OURS / "package-lock.json").read_bytes()
    folder = cache / "azurite" / hashlib.sha256(lock).hexdigest()[:16]
    if not (folder / "installed").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(_OURS / name, folder)
        subprocess.run(["npm", "ci", "--ignore-scripts"], cwd=folder, check=True, capture_output=True, timeout=280)
        (folder / "installed").touch()
    return folder


@contextmanager
def azurite(cache: Path, container: str) -> Iterator[str]:
    """Its address, once it serves an empty container from memory."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--inMemoryPersistence", "--blobHost", "127.0.0.1", "--blobPort", str(port), "--silent"]
    # Without the last it refuses what a client of a later version sends, and tells its makers that it was used.
    options += ["--skipApiVersionCheck", "--disableTelemetry"]
    program = installed(cache) / "node_modules/azurite/dist/src/blob/main.js"
    with subprocess.Popen(["node", program, *options], stdout=subprocess.DEVNULL) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(address, process)
            _make_container(address, container)
            yield address
        finally:
            process.terminate()


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _STARTS_WITHIN_S
    while True:
        try:
            httpx.get(address)
            return
        except httpx.TransportError:
            if process.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.1)


def _make_container(address: str, container: str) -> None:
    """A request signed as Azure's reference of Shared Key has it; Delta's client can make none."""
    headers = {"x-ms-date": format_datetime(datetime.now(UTC), usegmt=True), "x-ms-version": "2021-08-06"}
    told = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
    signed = "PUT" + "\n" * 12 + f"{told}/{ACCOUNT}/{ACCOUNT}/{container}\nrestype:container"
    digest = hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
    asked = httpx.put(f"{address}/{ACCOUNT}/{container}", params={"restype": "container"}, headers=headers)
    asked.raise_for_status()
