"""Whether a port can be listened on."""

from __future__ import annotations

import os
import socket

from ladder.errors import UsageError


def check_port(host: str, port: int, option: str) -> None:
    """Raises ``UsageError``, which names ``option``, where it cannot: Faust would tell by a traceback."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise UsageError(f"cannot listen on {host}:{port} ({why}); take another with {option}, or 0 for none") from None
