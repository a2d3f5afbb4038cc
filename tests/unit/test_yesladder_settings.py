from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from answers.sending import Carriers, MailServer
from ladder.errors import UsageError
from ladder.tiers import builtin_ladder
from warehouse.spark_session import Spark
from yesladder.settings import PREFIX, Settings, read_settings

LADDER = 'name = "{name}"\ntiers = ["a", "b"]\n[[on]]\nevent = "E"\nis = [{{ tier = "a", role = "yes" }}]\n'


@pytest.fixture(autouse=True)
def plain_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder and none of the machine's own settings."""
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_option_goes_before_the_environment_and_that_before_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings().port == 8080
    monkeypatch.setenv("YESLADDER_PORT", "9000")
    assert read_settings().port == 9000
    assert read_settings(port=None).port == 9000
    assert read_settings(port="0").port == 0


def test_every_setting_can_be_given_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "warehouse": ("/data", Path("/data")),
        "ladder": ("x.toml", Path("x.toml")),
        "brokers": ("a:1,b:2", "a:1,b:2"),
        "topic": ("clicks", "clicks"),
        "partitions": ("12", 12),
        "replication": ("3", 3),
        "security_protocol": ("SASL_SSL", "SASL_SSL"),
        "sasl_mechanism": ("SCRAM-SHA-512", "SCRAM-SHA-512"),
        "username": ("me", "me"),
        "ca_file": ("ca.pem", "ca.pem"),
        "certificate_file": ("c.pem", "c.pem"),
        "key_file": ("k.pem", "k.pem"),
        "host": ("::", "::"),
        "port": ("1", 1),
        "write_keys": ("a,b", "a,b"),
        "spool": ("/ssd/spool", Path("/ssd/spool")),
        "spool_bytes": ("0", 0),
        "group": ("g", "g"),
        "checkpoint_interval": ("1m30s", timedelta(seconds=90)),
        "checkpoint_events": ("7", 7),
        "idle_after": ("0s", timedelta()),
        "session_timeout": ("500ms", timedelta(milliseconds=500)),
        "instance": ("worker-0", "worker-0"),
        "max_reject_share": ("0", 0.0),
        "max_reject_run": ("1", 1),
        "worker_host": ("0.0.0.0", "0.0.0.0"),
        "worker_port": ("0", 0),
        "dashboard_host": ("10.0.0.7", "10.0.0.7"),
        "dashboard_port": ("0", 0),
        "dashboard_password_file": ("pass.txt", Path("pass.txt")),
        "dashboard_trusted_header": ("X-User", "X-User"),
        "dashboard_proxies": ("10.0.0.0/8", "10.0.0.0/8"),
        "dashboard_names": ("numbers.example", "numbers.example"),
        "dashboard_sql": ("1", True),
        "step_minutes": ("minutes", "minutes"),
        "alerts": ("a.toml", Path("a.toml")),
        "alerts_topic": ("told", "told"),
        "alerts_group": ("h", "h"),
        "alerts_host": ("0.0.0.0", "0.0.0.0"),
        "alerts_port": ("0", 0),
        "schedules": ("s.toml", Path("s.toml")),
        "smtp_host": ("mail.example", "mail.example"),
        "smtp_port": ("2525", 2525),
        "smtp_security": ("tls", "tls"),
        "smtp_user": ("ann", "ann"),
        "smtp_from": ("Reports <r@shop.example>", "Reports <r@shop.example>"),
        "lake": ("s3://bucket/lake", "s3://bucket/lake"),
        "s3_endpoint": ("http://minio:9000", "http://minio:9000"),
        "engine": ("spark", "spark"),
        "spark_conf": ("spark.master=local[1]", "spark.master=local[1]"),
        "build_every": ("1d", timedelta(days=1)),
        "upkeep_every": ("0s", timedelta()),
        "keep": ("0s", timedelta()),
        "retain": ("400d", timedelta(days=400)),
    }
    assert {*given, "password", "smtp_password"} == set(Settings.model_fields)
    for name, (text, _) in given.items():
        monkeypatch.setenv(PREFIX + name.upper(), text)
    monkeypatch.setenv("YESLADDER_PASSWORD", "secret")
    monkeypatch.setenv("YESLADDER_SMTP_PASSWORD", "also secret")
    settings = read_settings()
    assert {name: getattr(settings, name) for name in given} == {name: value for name, (_, value) in given.items()}
    assert settings.connection().password == "secret"
    server = MailServer("mail.example", "Reports <r@shop.example>", 2525, "tls", "ann", "also secret")
    assert settings.carriers() == Carriers(server, "http://minio:9000")
    assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    "sender", [None, "reports", "Reports <>", "shop reports@shop.example", "r@x y", "@", "a@b.example, c@d.example"]
)
def test_a_mail_server_needs_somebody_whom_mails_are_from(sender: str | None) -> None:
    assert read_settings(smtp_from=sender).carriers() == Carriers()
    with pytest.raises(UsageError, match=r"YESLADDER_SMTP_FROM: .*say whom mails are from"):
        read_settings(smtp_host="mail.example", smtp_from=sender).carriers()


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.setenv(PREFIX + name.upper(), "")
    emptied = read_settings()
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper())
    assert emptied == read_settings()
    assert emptied.known_keys() is None


@pytest.mark.parametrize(
    ("name", "wrong", "reason"),
    [
        ("port", "eighty", "valid integer"),
        ("port", "65536", "less than or equal to 65535"),
        ("partitions", "0", "greater than or equal to 1"),
        ("max_reject_share", "1.5", "less than or equal to 1"),
        ("checkpoint_interval", "5", "'5' is no duration; write for example 90s, 30m, 2h, 1h30m or 14d"),
        ("build_every", "soon", "'soon' is no duration"),
        ("retain", "800000d", "must be at most 36500d"),
        ("security_protocol", "TLS", "'PLAINTEXT', 'SSL'"),
    ],
)
def test_a_wrong_value_is_refused_by_naming_option_and_variable(
    name: str, wrong: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    option, variable = "--" + name.replace("_", "-"), PREFIX + name.upper()
    with pytest.raises(UsageError) as by_option:
        read_settings(**{name: wrong})
    monkeypatch.setenv(variable, wrong)
    with pytest.raises(UsageError) as by_variable:
        read_settings()
    for caught in (by_option, by_variable):
        said = str(caught.value)
        assert said.startswith(f"{name} (option {option} or {variable}): ")
        assert reason in said
        assert "\n" not in said
        assert "Value error" not in said


def test_settings_are_frozen_and_do_not_show_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YESLADDER_PASSWORD", "secret")
    settings = read_settings()
    assert "secret" not in repr(settings) + str(settings)
    with pytest.raises(ValidationError):
        settings.port = 1


def test_write_keys_are_separated_by_commas_and_none_take_every_key() -> None:
    assert read_settings().known_keys() is None
    assert read_settings(write_keys=" a, b,,").known_keys() == frozenset({"a", "b"})
    assert read_settings(write_keys=",").known_keys() == frozenset()


def test_without_brokers_a_connection_says_how_to_give_them() -> None:
    with pytest.raises(UsageError, match="use --brokers HOST:PORT or YESLADDER_BROKERS, or `yesladder up`"):
        read_settings().connection()
    assert read_settings().connection("x:1").addresses == ["x:1"]
    assert read_settings(brokers="y:2").connection().addresses == ["y:2"]


def test_parts_of_a_connection_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(UsageError, match="SASL_SSL needs a SASL mechanism"):
        read_settings(brokers="x:1", security_protocol="SASL_SSL").connection()
    with pytest.raises(UsageError, match="certificate files need SSL"):
        read_settings(brokers="x:1", ca_file="ca.pem").connection()


def test_the_ladder_is_the_named_file_else_the_one_here_else_the_built_in_one(plain_machine: Path) -> None:
    assert read_settings().load_ladder() == builtin_ladder()
    (plain_machine / "ladder.toml").write_text(LADDER.format(name="here"), encoding="utf-8")
    (plain_machine / "other.toml").write_text(LADDER.format(name="other"), encoding="utf-8")
    assert read_settings().load_ladder().name == "here"
    assert read_settings(ladder="other.toml").load_ladder().name == "other"


def test_a_named_ladder_that_is_missing_is_an_error_and_no_fallback() -> None:
    with pytest.raises(UsageError, match=r"nowhere\.toml: there is no such ladder file"):
        read_settings(ladder="nowhere.toml").load_ladder()


def test_the_spool_is_in_the_warehouse_unless_it_has_a_folder_of_its_own() -> None:
    assert read_settings(warehouse="/data").spool_folder() == Path("/data/spool")
    assert read_settings(warehouse="/data", spool="/ssd").spool_folder() == Path("/ssd")


def test_spark_is_started_only_where_it_is_the_engine_and_with_its_own_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert read_settings(spark_conf="spark.a=1").spark() is None
    assert read_settings(engine="spark").spark() == Spark({}, None)
    monkeypatch.setenv("JAVA_HOME", "/opt/java")
    given = read_settings(engine="spark", spark_conf="spark.master=local[1]  'spark.opts=-Da=b c'")
    assert given.spark() == Spark({"spark.master": "local[1]", "spark.opts": "-Da=b c"}, Path("/opt/java"))


@pytest.mark.parametrize("wrong", ["spark.master", "master=local", "'spark.a=1"])
def test_a_setting_of_spark_that_cannot_be_read_is_named(wrong: str) -> None:
    with pytest.raises(UsageError, match="YESLADDER_SPARK_CONF: "):
        read_settings(engine="spark", spark_conf=wrong).spark()
