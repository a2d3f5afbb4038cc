"""A Kafka connection's secrets in the form Faust wants them."""

from __future__ import annotations

import faust
from faust.types.auth import CredentialsT

from ladder.connection import KafkaConnection


def credentials(connection: KafkaConnection) -> CredentialsT | None:
    """None for plain text without authentication."""
    context = connection.tls_context()
    if connection.uses_sasl:
        return faust.SASLCredentials(
            username=connection.username,
            password=connection.password,
            ssl_context=context,
            mechanism=connection.sasl_mechanism,
        )
    return faust.SSLCredentials(context=context) if context is not None else None
