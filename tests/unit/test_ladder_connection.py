from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ladder.connection import KafkaConnection
from ladder.errors import UsageError


def test_several_brokers_are_separated_by_commas() -> None:
    assert KafkaConnection("a:1, b:9092,[::1]:3").addresses == ["a:1", "b:9092", "[::1]:3"]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"brokers": " , "}, "no Kafka brokers given"),
        ({"brokers": "localhost"}, "'localhost' is not of the form HOST:PORT"),
        ({"brokers": "a:1,b:port"}, "'b:port' is not of the form HOST:PORT"),
        ({"brokers": "a:70000"}, "'a:70000' is not of the form HOST:PORT"),
        ({"security_protocol": "TLS"}, "'TLS' is none of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        ({"security_protocol": "SASL_SSL"}, "SASL_SSL needs a SASL mechanism"),
        ({"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN"}, "needs a user name and a password"),
        ({"sasl_mechanism": "PLAIN"}, "need SASL_SSL or SASL_PLAINTEXT, not PLAINTEXT"),
        ({"password": "secret"}, "need SASL_SSL or SASL_PLAINTEXT, not PLAINTEXT"),
        ({"ca_file": "ca.pem"}, "certificate files need SSL or SASL_SSL, not PLAINTEXT"),
        ({"security_protocol": "SSL", "key_file": "key.pem"}, "given together or not at all"),
    ],
)
def test_parts_that_cannot_belong_together_are_refused(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        KafkaConnection(**{"brokers": "a:1", **settings})


def test_the_password_is_not_printed() -> None:
    connection = KafkaConnection("a:1", "SASL_SSL", "PLAIN", "me", "secret")
    assert "secret" not in repr(connection)
    assert "secret" not in f"{connection}"


def test_without_tls_there_is_no_tls_context() -> None:
    assert KafkaConnection("a:1").tls_context() is None


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    with pytest.raises(UsageError, match=r"missing\.pem cannot be used as the file of the brokers' authority"):
        KafkaConnection("a:1", "SSL", ca_file=missing).tls_context()
    no_certificate = tmp_path / "text.pem"
    no_certificate.write_text("hello")
    with pytest.raises(UsageError, match=r"text\.pem and .* cannot be used as certificate and key"):
        KafkaConnection("a:1", "SSL", certificate_file=str(no_certificate), key_file=str(no_certificate)).tls_context()
