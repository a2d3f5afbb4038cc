"""Object stores on loopback for tests: servers in processes of their own, whose answers can be made to go wrong."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import httpx

from tests.suites.azurite_server import ACCOUNT, KEY, azurite
from warehouse.lake import Lake
from warehouse.object_store import ObjectStore

BUCKET = "lakes"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": "us-east-1",
}
"""What the server takes for its own; that it takes anything is why a test must look for it in what is said."""

HURRIED = {"backoff_config.init_backoff": "20ms", "backoff_config.max_backoff": "200ms", "retry_timeout": "20s"}
"""So that faults cost a test no seconds."""


@dataclass
class Server(ABC):
    """A running server.  ``endpoint``: its address; ``scheme``: of the addresses of what lies there."""

    endpoint: str
    scheme: ClassVar[str]
    _folders: Iterator[int] = field(default_factory=itertools.count)

    @property
    @abstractmethod
    def options(self) -> dict[str, str]:
        """How a store is told to go there."""

    def url(self) -> str:
        """A folder that nobody else has."""
        return f"{self.scheme}://{BUCKET}/lake-{next(self._folders)}"

    def store(self, url: str | None = None) -> ObjectStore:
        return ObjectStore(url or self.url(), self.options)

    def lake(self, warehouse: Path, url: str | None = None) -> Lake:
        """A lake here, with the copies of its files in a warehouse."""
        return Lake(warehouse / "lake-copies", self.store(url))

    def go_wrong(self, *faults: Mapping[str, Any]) -> None:
        """From now on, instead of what was to go wrong before; none: all goes well."""
        defaults = {"fits": ".", "times": 1_000_000, "share": 1, "seed": 0}
        httpx.post(f"{self.endpoint}/-/faults", json=[defaults | dict(fault) for fault in faults]).raise_for_status()

    def requests(self) -> Sequence[str]:
        """Method and path of those since this was last asked."""
        told: list[str] = httpx.get(f"{self.endpoint}/-/requests").json()
        return told

    def hits(self) -> Sequence[str]:
        """Which were made to go wrong since this was last asked."""
        told: list[str] = httpx.get(f"{self.endpoint}/-/hits").json()
        return told


class S3(Server):
    """Amazon's protocol."""

    scheme = "s3"

    @property
    def options(self) -> dict[str, str]:
        return CREDENTIALS | HURRIED | {"AWS_ENDPOINT_URL": self.endpoint}


class Google(Server):
    """Google's protocol (``tests.suites.google_storage`` says how much of it)."""

    scheme = "gs"

    @property
    def options(self) -> dict[str, str]:
        account = {"gcs_base_url": self.endpoint, "disable_oauth": True, "client_email": "", "private_key": ""}
        key = json.dumps(account | {"private_key_id": ""})
        return HURRIED | {"GOOGLE_SERVICE_ACCOUNT_KEY": key, "allow_http": "true"}


class Azure(Server):
    """Azure's protocol: Azurite, which is Microsoft's own."""

    scheme = "abfss"

    @property
    def options(self) -> dict[str, str]:
        address = f"{self.endpoint}/{ACCOUNT}"
        return HURRIED | {"AZURE_STORAGE_ACCOUNT_KEY": KEY, "AZURE_STORAGE_ENDPOINT": address, "allow_http": "true"}

    def url(self) -> str:
        return f"abfss://{BUCKET}@{ACCOUNT}.dfs.core.windows.net/lake-{next(self._folders)}"


@contextmanager
def s3_server() -> Iterator[S3]:
    """A server with an empty bucket."""
    with _served("s3") as endpoint:
        httpx.put(f"{endpoint}/{BUCKET}").raise_for_status()
        yield S3(endpoint)


@contextmanager
def google_server() -> Iterator[Google]:
    """A server with an empty bucket."""
    with _served("gs", BUCKET) as endpoint:
        yield Google(endpoint)


@contextmanager
def azure_server(cache: Path) -> Iterator[Azure]:
    """A server with an empty container.  ``cache``: where what it is made of is kept for the next time."""
    with azurite(cache, BUCKET) as address, _served("at", address) as endpoint:
        yield Azure(endpoint)


@contextmanager
def _served(*arguments: str) -> Iterator[str]:
    command = [sys.executable, "-P", "-m", "tests.suites.object_store_server", *arguments]
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    env = os.environ | {"PYTHONPATH": path}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as process:
        if process.stdout is None or process.stdin is None:
            raise RuntimeError("no pipes")
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()
            process.wait(10)
