"""A folder in an object store: whole objects are put, read, listed and deleted; nothing is renamed, nothing locked.

Credentials are found where the stores' own tools look for them (``AWS_ACCESS_KEY_ID``, ``AZURE_STORAGE_ACCOUNT_KEY``,
``GOOGLE_APPLICATION_CREDENTIALS`` and their like, a role of the machine); they are never kept and never shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ladder.errors import UsageError, YesladderError

if TYPE_CHECKING:  # half a second, which most commands need not spend
    import pyarrow as pa
    from pyarrow.fs import FileInfo, FileSystem

SCHEMES = ("s3", "gs", "abfss")

_CONNECT_S = 10.0
_ANSWER_S = 60.0
_ATTEMPTS = 8
"""Of a request, with pauses that double: a store that says SlowDown for half a minute is waited for."""

_PUTS = 3
"""Of one object in parts, each of their requests tried as often as Delta's client does."""
_PARTS_ARE_GONE = re.compile(r"NoSuchUpload|InvalidBlockList|\b404\b")

FIRST_CONTACT = {
    "max_retries": "4",
    "retry_timeout": "6s",
    "connect_timeout": "4s",
    "timeout": "8s",
    "backoff_config.init_backoff": "200ms",
    "backoff_config.max_backoff": "1s",
}
"""What Delta's client is told when a command first asks for the lake: people wait for it, and learn within ten seconds
that nobody answers.  From then on its own patience holds, which is minutes."""

_FAULTS = (
    (
        r"(?<![\w./-])40[13]\b(?!\.\d)|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|169\.254\.169\.254",
        "it wants credentials, and those in the environment are none or not accepted",
    ),
    (r"NoSuchBucket|(?<![\w./-])404\b(?!\.\d)", "there is no such bucket or container"),
    (
        r"\(Connect\)|timed? ?out|dns error|[Cc]onnection|CURL",
        "nobody answers; is it up, and the address right?",
    ),
    (r"(?<![\w./-])50[0-9]\b(?!\.\d)|SlowDown", "the store itself is in trouble; try again later"),
)
"""What a client says, and whose fault that is; the first that fits."""

_PAINT = re.compile(r"\x1b\[[0-9;]*m|↳")
_URL = re.compile(r"[a-z0-9]+://", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9@._/=-]+")


@dataclass(frozen=True)
class Stored:
    """An object.  ``name``: relative to the store's folder; ``changed_at``: by the store's clock; ``size`` in bytes."""

    name: str
    size: int
    changed_at: datetime


class ObjectStore:
    """The folder at ``url``.  ``options``: as Delta's object stores take them; ``AWS_ENDPOINT_URL`` for another S3.

    Raises ``UsageError`` for an address that is none.  Methods raise ``YesladderError`` where the store cannot be
    reached or refuses: it was asked several times then.
    """

    def __init__(self, url: str, options: Mapping[str, str] | None = None) -> None:
        self.url = checked_url(url)
        self.options = _with_http(options or {})
        parts = urlsplit(self.url)
        self._scheme = parts.scheme
        self._base = f"{parts.netloc}{parts.path}/" if self._scheme == "s3" else ""
        self._opened: FileSystem | None = None

    def at(self, name: str) -> str:
        """The address of what lies under a name."""
        return f"{self.url}/{name}"

    def put(self, name: str, data: bytes | pa.Buffer) -> None:
        """Have an object of this name hold just these bytes."""
        with self._told(name):
            if self._scheme != "s3":
                self._put_in_parts(name, bytes(data))
                return
            with self._files().open_output_stream(self._base + name) as file:
                file.write(data)

    def _put_in_parts(self, name: str, data: bytes) -> None:
        """Arrow hands buffers of its own on, and Delta's client takes bytes only; it sends each object in parts.

        Where the answer to "these were all" is lost, it asks again and hears that there are no such parts.  So it is
        begun once more, with the same bytes under the same name.
        """
        from deltalake._internal import DeltaFileSystemHandler

        handler = DeltaFileSystemHandler(self.url, dict(self.options))
        for tried in range(1, _PUTS + 1):
            try:
                stream: Any = handler.open_output_stream(name)
                stream.write(data)
                stream.close()
                return
            except OSError as error:
                if tried == _PUTS or not _PARTS_ARE_GONE.search(str(error)):
                    raise

    def get(self, name: str) -> bytes:
        """Raises ``FileNotFoundError``."""
        with self._told(name), self._files().open_input_file(self._base + name) as file:
            return bytes(file.readall())

    def list(self, folder: str) -> list[Stored]:
        """All that lies below a folder, by name."""
        from pyarrow.fs import FileSelector, FileType

        with self._told(folder):
            found = self._files().get_file_info(FileSelector(self._base + folder, recursive=True, allow_not_found=True))
            return sorted(
                (self._stored(info) for info in found if info.type == FileType.File), key=lambda one: one.name
            )

    def look(self, name: str) -> Stored | None:
        """None where there is no such object."""
        from pyarrow.fs import FileType

        with self._told(name):
            info = self._files().get_file_info(self._base + name)
            return self._stored(info) if info.type == FileType.File else None

    def delete(self, name: str) -> None:
        """What is not there is no error."""
        with self._told(name):
            try:
                self._files().delete_file(self._base + name)
            except FileNotFoundError:
                return

    def now(self, name: str) -> datetime:
        """What the store's own clock says, in whole seconds; an object of this name is written for it."""
        self.put(name, b"")
        found = self.look(name)
        if found is None:
            raise YesladderError(f"{self.at(name)} was written and is not there")
        return found.changed_at

    def _files(self) -> FileSystem:
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    def _open(self) -> FileSystem:
        if self._scheme == "s3":
            from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

            def given(*names: str) -> str | None:
                return next((self.options[name] for name in names if name in self.options), None)

            # Arrow's own client: it lets other threads run while it waits, and sends what is small in one request.
            return S3FileSystem(
                access_key=given("AWS_ACCESS_KEY_ID"),
                secret_key=given("AWS_SECRET_ACCESS_KEY"),
                session_token=given("AWS_SESSION_TOKEN"),
                region=given("AWS_REGION", "AWS_DEFAULT_REGION"),
                endpoint_override=given("AWS_ENDPOINT_URL"),
                connect_timeout=_CONNECT_S,
                request_timeout=_ANSWER_S,
                retry_strategy=AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
                allow_delayed_open=True,
            )
        from deltalake.fs import DeltaStorageHandler
        from pyarrow.fs import PyFileSystem

        return PyFileSystem(DeltaStorageHandler(self.url, dict(self.options)))

    def _stored(self, info: FileInfo) -> Stored:
        changed_at = info.mtime
        if changed_at is None:
            raise YesladderError(f"{self.at(info.path)}: the store does not say when it was written")
        return Stored(info.path.removeprefix(self._base), info.size, changed_at.astimezone(UTC))

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise unreachable(self.at(name), error) from None


def is_url(text: str) -> bool:
    """Whether this is an address rather than a folder."""
    return _URL.match(text) is not None


def checked_url(url: str) -> str:
    """The address without a slash at its end.  Raises ``UsageError`` for one that no lake can be at."""
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES or not parts.netloc:
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise UsageError(f"{_shown(url)} is no place for a lake: take a folder, or an address that begins with {known}")
    if parts.password is not None or parts.query or parts.fragment:
        raise UsageError(
            f"{_shown(url)}: no password, ? or # belongs into a lake's address; credentials come from the environment"
        )
    if not _NAME.fullmatch(parts.netloc + parts.path) or "//" in parts.path:
        raise UsageError(f"{_shown(url)}: a lake's address may have letters, digits and . _ - = / only")
    return url.rstrip("/")


def _shown(url: str) -> str:
    """Without what may be a password."""
    return re.sub(r"//.*@", "//...@", url.partition("?")[0])


def _with_http(options: Mapping[str, str]) -> dict[str, str]:
    """Delta refuses an endpoint without encryption unless it is told twice; once will do here."""
    plain = options.get("AWS_ENDPOINT_URL", "").startswith("http://")
    return ({"AWS_ALLOW_HTTP": "true"} if plain else {}) | dict(options)


def unreachable(at: str, error: Exception) -> YesladderError:
    """What a client said of an address, in one line that has an end and says first whose fault it is."""
    said = " ".join(_PAINT.sub(" ", str(error)).split())
    fault = next((what for pattern, what in _FAULTS if re.search(pattern, said)), None)
    return YesladderError(f"{at} cannot be reached: {'' if fault is None else f'{fault}: '}{said[:300]}")
