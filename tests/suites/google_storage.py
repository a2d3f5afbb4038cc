"""The part of Google Cloud Storage that Delta's client speaks to, in memory: the XML API with generations.

Written from Google's reference of the XML API (object PUT, GET, HEAD and DELETE, bucket GET version 2, the multipart
upload, and the precondition ``x-goog-if-generation-match``), since no server that could be installed takes conditional
puts.  So it shows that our side keeps its promise over this protocol, and proves nothing of Google's own servers.
It asks nobody who they are; what it does not know it refuses with 501, so that a client which asks for more is noticed.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs
from xml.etree import ElementTree
from xml.sax.saxutils import escape

_PAGE = 1000
"""Objects in one answer to a list, as Google has it."""

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True)
class _Object:
    data: bytes
    generation: int
    changed_at: datetime

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.data).hexdigest()}"'


@dataclass(frozen=True)
class _Answer:
    status: str
    headers: Mapping[str, str]
    body: bytes = b""


class GoogleStorage:
    """A WSGI application.  ``bucket``: the one there is."""

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket
        self._objects: dict[str, _Object] = {}
        self._uploads: dict[str, tuple[str, dict[int, bytes]]] = {}
        self._generation = time.time_ns() // 1000
        self._lock = threading.Lock()

    def __call__(self, environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        method, bare = environment["REQUEST_METHOD"], environment["PATH_INFO"].lstrip("/")
        body = environment["wsgi.input"].read(int(environment.get("CONTENT_LENGTH") or 0))
        query = {key: values[0] for key, values in parse_qs(environment["QUERY_STRING"], True).items()}
        bucket, _, name = bare.partition("/")
        with self._lock:
            answer = self._answer(method, bucket, name, query, body, environment)
        length = len(answer.body)
        headers = {"Content-Length": str(length)} | dict(answer.headers)
        start(answer.status, list(headers.items()))
        return [b"" if method == "HEAD" else answer.body]

    def _answer(
        self, method: str, bucket: str, name: str, query: Mapping[str, str], body: bytes, headers: Mapping[str, Any]
    ) -> _Answer:
        if bucket != self._bucket:
            return _refused("404 Not Found", "NoSuchBucket")
        wanted = headers.get("HTTP_X_GOOG_IF_GENERATION_MATCH")
        match method, bool(name):
            case "GET", False:
                return self._list(query)
            case (("GET" | "HEAD"), True):
                return self._read(name, headers.get("HTTP_RANGE"))
            case "PUT", True if "uploadId" in query:
                return self._part(name, query, body)
            case "PUT", True if "HTTP_X_GOOG_COPY_SOURCE" not in headers:
                return self._write(name, body, wanted)
            case "POST", True if "uploads" in query:
                return self._begin(name)
            case "POST", True if "uploadId" in query:
                return self._complete(name, query["uploadId"], body, wanted)
            case "DELETE", True if "uploadId" in query:
                return _Answer("204 No Content", {}) if self._uploads.pop(query["uploadId"], None) else _NO_UPLOAD
            case "DELETE", True:
                return _Answer("204 No Content", {}) if self._objects.pop(name, None) else _NO_KEY
        return _refused("501 Not Implemented", "NotImplemented")

    def _write(self, name: str, data: bytes, wanted: str | None) -> _Answer:
        """``wanted``: the generation that the object must have, 0 where there must be none."""
        there = self._objects.get(name)
        if wanted is not None and int(wanted) != (0 if there is None else there.generation):
            return _refused("412 Precondition Failed", "PreconditionFailed")
        self._generation += 1
        self._objects[name] = found = _Object(data, self._generation, datetime.now(UTC))
        return _Answer("200 OK", _described(found))

    def _read(self, name: str, range_header: str | None) -> _Answer:
        found = self._objects.get(name)
        if found is None:
            return _NO_KEY
        described = _described(found) | {"Content-Type": "application/octet-stream"}
        if range_header is None:
            return _Answer("200 OK", described, found.data)
        asked, size = _RANGE.fullmatch(range_header), len(found.data)
        if asked is None:
            return _refused("501 Not Implemented", "NotImplemented")
        first = size - int(asked[2]) if asked[1] == "" else int(asked[1])
        last = min(size - 1, int(asked[2]) if asked[1] and asked[2] else size - 1)
        if first > last:
            return _refused("416 Requested Range Not Satisfiable", "InvalidRange")
        where = {"Content-Range": f"bytes {first}-{last}/{size}"}
        return _Answer("206 Partial Content", described | where, found.data[first : last + 1])

    def _list(self, query: Mapping[str, str]) -> _Answer:
        if query.get("list-type") != "2":
            return _refused("501 Not Implemented", "NotImplemented")
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        after = max(query.get("start-after", ""), base64.b64decode(query.get("continuation-token", "")).decode())
        most = min(_PAGE, int(query.get("max-keys", _PAGE)))
        shown: dict[str, str] = {}
        last, is_cut = "", False
        for name, found in sorted(self._objects.items()):
            # A folder that was told stands for all that is below it.
            if not name.startswith(prefix) or name <= after or (after.endswith("/") and name.startswith(after)):
                continue
            head, cut, _ = name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            told = prefix + head + cut if cut else name
            if told in shown:
                continue
            if len(shown) == most:
                is_cut = True
                break
            last = told
            shown[told] = (
                f"<CommonPrefixes><Prefix>{escape(told)}</Prefix></CommonPrefixes>"
                if cut
                else f"<Contents><Key>{escape(name)}</Key><Generation>{found.generation}</Generation>"
                f"<LastModified>{found.changed_at:%Y-%m-%dT%H:%M:%S.%fZ}</LastModified>"
                f"<ETag>{escape(found.etag)}</ETag><Size>{len(found.data)}</Size></Contents>"
            )
        token = base64.b64encode(last.encode()).decode() if is_cut else ""
        return _xml(
            "ListBucketResult",
            f"<Name>{self._bucket}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(shown)}</KeyCount>"
            f"<IsTruncated>{str(is_cut).lower()}</IsTruncated>"
            + (f"<NextContinuationToken>{token}</NextContinuationToken>" if is_cut else "")
            + "".join(shown.values()),
        )

    def _begin(self, name: str) -> _Answer:
        upload = uuid.uuid4().hex
        self._uploads[upload] = (name, {})
        return _xml(
            "InitiateMultipartUploadResult",
            f"<Bucket>{self._bucket}</Bucket><Key>{escape(name)}</Key><UploadId>{upload}</UploadId>",
        )

    def _part(self, name: str, query: Mapping[str, str], body: bytes) -> _Answer:
        begun = self._uploads.get(query["uploadId"])
        if begun is None or begun[0] != name:
            return _NO_UPLOAD
        begun[1][int(query["partNumber"])] = body
        return _Answer("200 OK", {"ETag": f'"{hashlib.md5(body).hexdigest()}"'})

    def _complete(self, name: str, upload: str, body: bytes, wanted: str | None) -> _Answer:
        begun = self._uploads.get(upload)
        if begun is None or begun[0] != name:
            return _NO_UPLOAD
        data = b""
        for part in ElementTree.fromstring(body):
            told = {child.tag.rpartition("}")[2]: child.text or "" for child in part}
            held = begun[1].get(int(told["PartNumber"]))
            if held is None or told["ETag"].strip('"') != hashlib.md5(held).hexdigest():
                return _refused("400 Bad Request", "InvalidPart")
            data += held
        answer = self._write(name, data, wanted)
        if not answer.status.startswith("200"):
            return answer
        del self._uploads[upload]
        told_back = f"<Bucket>{self._bucket}</Bucket><Key>{escape(name)}</Key><ETag>{answer.headers['ETag']}</ETag>"
        whole = _xml("CompleteMultipartUploadResult", told_back)
        return _Answer(whole.status, dict(whole.headers) | dict(answer.headers), whole.body)


def _described(found: _Object) -> dict[str, str]:
    return {
        "ETag": found.etag,
        "Last-Modified": format_datetime(found.changed_at, usegmt=True),
        "x-goog-generation": str(found.generation),
    }


def _xml(root: str, inner: str) -> _Answer:
    body = (
        f"<?xml version='1.0' encoding='UTF-8'?><{root} xmlns='http://doc.s3.amazonaws.com/2006-03-01'>{inner}</{root}>"
    )
    return _Answer("200 OK", {"Content-Type": "application/xml; charset=UTF-8"}, body.encode())


def _refused(status: str, code: str) -> _Answer:
    told = _xml("Error", f"<Code>{code}</Code><Message>{status}</Message>")
    return _Answer(status, told.headers, told.body)


_NO_KEY = _refused("404 Not Found", "NoSuchKey")
_NO_UPLOAD = _refused("404 Not Found", "NoSuchUpload")
