"""Reaching Kafka with kafka-python: our connection in its words, its failures in ours."""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka.errors import BrokerResponseError, KafkaConfigurationError, KafkaError, KafkaTimeoutError

from ladder.connection import KafkaConnection
from ladder.errors import UsageError, YesladderError

_API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)
"""Kafka's "which requests do you know?": size, api key 18, version 0, correlation id 1, no client id."""

_TLS_ALERT = b"\x15\x03"
_SILENCE = "no answer"


def client_settings(connection: KafkaConnection, connect_timeout_s: float) -> dict[str, Any]:
    """Keyword arguments for any kafka-python client."""
    settings: dict[str, Any] = {
        "bootstrap_servers": connection.addresses,
        "security_protocol": connection.security_protocol,
        "ssl_context": connection.tls_context(),
        "bootstrap_timeout_ms": int(connect_timeout_s * 1000),
        # kafka-python backs off for up to 30 s by default: too long to notice that a broker is back.
        "reconnect_backoff_max_ms": 1000,
    }
    if connection.uses_sasl:
        settings |= {
            "sasl_mechanism": connection.sasl_mechanism,
            "sasl_plain_username": connection.username,
            "sasl_plain_password": connection.password,
        }
    return settings


@contextmanager
def connecting(connection: KafkaConnection, timeout_s: float) -> Iterator[None]:
    """Waits for a broker, then for the client made in the block; each failure says what to look at.

    Raises ``YesladderError`` within about twice ``timeout_s``.  The wait comes first because kafka-python 3.0.12
    itself waits for ever in a TLS handshake with a broker that speaks no TLS, and never says why it got nowhere.
    """
    wait_for_broker(connection, timeout_s)
    try:
        yield
    except KafkaTimeoutError:
        hint = "; check mechanism, user name and password" if connection.uses_sasl else ""
        raise YesladderError(
            f"Kafka at {connection.brokers} is there, but did not let us in within {timeout_s:g} s{hint}"
        ) from None
    except KafkaConfigurationError as error:
        raise UsageError(f"Kafka at {connection.brokers}: {said(error)}") from None
    except (KafkaError, OSError) as error:
        raise YesladderError(f"Kafka at {connection.brokers} refused us: {said(error)}") from None


def wait_for_broker(connection: KafkaConnection, timeout_s: float) -> None:
    """Return once any of the brokers answers.  Raises ``YesladderError`` with the last reason when none does."""
    tls = connection.tls_context()
    deadline = time.monotonic() + timeout_s
    reasons: dict[str, str] = {}
    while (left_s := deadline - time.monotonic()) > 0:
        for address in connection.addresses:
            reason = unreachable(address, tls, min(left_s, 2.0))
            if reason is None:
                return
            # The last try may have had no time for an answer: what was heard before tells more.
            if reason != _SILENCE or address not in reasons:
                reasons[address] = reason
        time.sleep(0.02)
    tried = "; ".join(f"{address}: {reason}" for address, reason in reasons.items())
    raise YesladderError(f"no Kafka broker ({connection.security_protocol}) in {timeout_s:g} s: {tried}")


def unreachable(address: str, tls: ssl.SSLContext | None, timeout_s: float) -> str | None:
    """Why nothing at this ``host:port`` answers Kafka's ApiVersions request; None when it does."""
    host, _, port = address.rpartition(":")
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), timeout=timeout_s) as plain,
            plain if tls is None else tls.wrap_socket(plain, server_hostname=host) as connection,
        ):
            connection.sendall(_API_VERSIONS)
            head = b""
            while len(head) < 8 and (more := connection.recv(8 - len(head))):
                head += more
    except TimeoutError:
        return _SILENCE
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not to be trusted ({error.verify_message}); is this the authority's file?"
    except ssl.SSLEOFError:
        return "closed the connection in the TLS handshake; does it speak TLS on this port?"
    except OSError as error:
        return said(error)
    if head[:2] == _TLS_ALERT and tls is None:
        return "it speaks TLS on this port (SSL or SASL_SSL)"
    if len(head) < 8:
        return "closed the connection without an answer"
    if head[4:] != _API_VERSIONS[8:12]:
        return "what answered is no Kafka broker"
    return None


def said(error: Exception) -> str:
    """What the error means, in few words: what Kafka answers comes with the whole request otherwise."""
    if isinstance(error, BrokerResponseError) and error.description:
        return f"{type(error).__name__}: {error.description}"
    return str(error) or type(error).__name__
