"""How to reach Kafka: one frozen value for every client in the project."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Literal, get_args

from ladder.errors import UsageError

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


@dataclass(frozen=True)
class KafkaConnection:
    """Brokers and how to prove who we are.  ``brokers``: ``host:port,host:port``.

    ``ca_file``: PEM of the authority that signed the brokers' certificates (None: the system's own authorities).
    ``certificate_file`` and ``key_file``: PEM of a client certificate, where the brokers ask for one.
    Raises ``UsageError`` where the parts cannot belong together.
    """

    brokers: str
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism | None = None
    username: str | None = None
    password: str | None = None
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None

    def __post_init__(self) -> None:
        if not self.addresses:
            raise UsageError("no Kafka brokers given; write HOST:PORT or HOST:PORT,HOST:PORT")
        for address in self.addresses:
            host, colon, port = address.rpartition(":")
            if not (host and colon and port.isdecimal() and 0 < int(port) < 65536):
                raise UsageError(f"the broker {address!r} is not of the form HOST:PORT")
        if self.security_protocol not in get_args(SecurityProtocol):
            raise UsageError(
                f"the security protocol {self.security_protocol!r} is none of {', '.join(get_args(SecurityProtocol))}"
            )
        if self.uses_sasl:
            if self.sasl_mechanism not in get_args(SaslMechanism):
                raise UsageError(
                    f"{self.security_protocol} needs a SASL mechanism, one of {', '.join(get_args(SaslMechanism))}"
                )
            if not self.username or self.password is None:
                raise UsageError(f"{self.security_protocol} needs a user name and a password")
        elif self.sasl_mechanism is not None or self.username is not None or self.password is not None:
            raise UsageError(
                f"SASL mechanism, user name and password need SASL_SSL or SASL_PLAINTEXT, not {self.security_protocol}"
            )
        if not self.uses_tls and (self.ca_file, self.certificate_file, self.key_file) != (None, None, None):
            raise UsageError(f"certificate files need SSL or SASL_SSL, not {self.security_protocol}")
        if (self.certificate_file is None) != (self.key_file is None):
            raise UsageError("a client certificate and its key are given together or not at all")

    def __repr__(self) -> str:
        """Without the password, so that it never reaches a log."""
        return f"KafkaConnection(brokers={self.brokers!r}, security_protocol={self.security_protocol!r})"

    @property
    def addresses(self) -> list[str]:
        return [address.strip() for address in self.brokers.split(",") if address.strip()]

    @property
    def uses_sasl(self) -> bool:
        return self.security_protocol.startswith("SASL_")

    @property
    def uses_tls(self) -> bool:
        return self.security_protocol.endswith("SSL")

    def tls_context(self) -> ssl.SSLContext | None:
        """What any client needs for TLS; None where there is none.  ``UsageError`` names a file that is not right."""
        if not self.uses_tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"{self.ca_file} cannot be used as the file of the brokers' authority: {error}") from None
        if self.certificate_file is not None:
            try:
                context.load_cert_chain(self.certificate_file, self.key_file)
            except (OSError, ssl.SSLError) as error:
                raise UsageError(
                    f"{self.certificate_file} and {self.key_file} cannot be used as certificate and key: {error}"
                ) from None
        return context
