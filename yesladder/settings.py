"""The settings of an installation: the only reader of the environment.

Every setting has a default, an environment variable ``YESLADDER_<NAME>`` and, where a command uses it, an option.
"""

from __future__ import annotations

import os
import shlex
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ladder.connection import KafkaConnection, SaslMechanism, SecurityProtocol
from ladder.durations import format_duration, parse_duration
from ladder.errors import UsageError
from ladder.tiers import MAX_DURATION, Ladder, builtin_ladder, load_ladder

if TYPE_CHECKING:  # they bring numpy, or httpx, along
    from answers.sending import Carriers
    from stream.alerts_config import AlertsConfig
    from warehouse.lake import Lake
    from warehouse.spark_session import Spark

PREFIX = "YESLADDER_"


def _duration(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    duration = parse_duration(value)
    if duration > MAX_DURATION:
        raise ValueError(f"must be at most {format_duration(MAX_DURATION)}")
    return duration


Duration = Annotated[timedelta, BeforeValidator(_duration)]


def _folder(value: Any) -> Any:
    if isinstance(value, str) and "://" in value:
        raise ValueError("must be a folder: the marts are a file of this machine; the lake's address is --lake's")
    return value


Folder = Annotated[Path, BeforeValidator(_folder)]


class Settings(BaseSettings):
    """Where things are and how they run."""

    # Empty variables are what docker compose and CI make of variables that are not set.
    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    warehouse: Folder = Field(Path("warehouse-data"), description="folder of the lake, the marts and the reports")
    lake: str | None = Field(
        None,
        description="where the lake is: s3://BUCKET/FOLDER, gs://BUCKET/FOLDER or "
        "abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/FOLDER; without it WAREHOUSE/lake",
    )
    ladder: Path | None = Field(
        None, description="the ladder file; without it ./ladder.toml, else the built-in five tiers"
    )
    brokers: str | None = Field(
        None, description="Kafka brokers, HOST:PORT,HOST:PORT; without them `demo` and `up` start their own"
    )
    topic: str = Field("events", description="the topic of events")
    partitions: int = Field(4, ge=1, description="partitions of the topic, where it has to be created")
    replication: int = Field(1, ge=1, description="copies of the topic, where it has to be created; 3 in production")
    security_protocol: SecurityProtocol = Field("PLAINTEXT", description="how to speak to the brokers")
    sasl_mechanism: SaslMechanism | None = Field(None, description="how to log in to the brokers")
    username: str | None = Field(None, description="user name at the brokers")
    password: SecretStr | None = Field(None, description="password at the brokers")
    ca_file: str | None = Field(None, description="PEM of the authority behind the brokers' certificates")
    certificate_file: str | None = Field(None, description="PEM of our own certificate, where brokers ask for one")
    key_file: str | None = Field(None, description="PEM of that certificate's key")
    host: str = Field("127.0.0.1", description="the address the collector listens on")
    port: int = Field(8080, ge=0, le=65535, description="the port the collector listens on; 0 takes a free one")
    write_keys: str | None = Field(
        None, description="write keys that the collector knows, separated by commas; without any, every key is taken"
    )
    spool: Path | None = Field(
        None, description="folder where the collector keeps events while Kafka is away; without it WAREHOUSE/spool"
    )
    spool_bytes: int = Field(
        1 << 30,
        ge=0,
        description="how much of that it keeps before it answers 503; 0: nothing, and no folder is needed",
    )
    group: str = Field("yesladder", description="the worker's consumer group")
    checkpoint_interval: Duration = Field(
        timedelta(seconds=1), description="the longest time between two commits; where they are slow, five times that"
    )
    checkpoint_events: int = Field(50_000, ge=1, description="events after which a commit comes earlier")
    idle_after: Duration = Field(
        timedelta(minutes=1),
        description="silence after which a partition is taken to have reached the present; 0s: never (replays)",
    )
    session_timeout: Duration = Field(
        timedelta(seconds=30), description="silence after which Kafka takes a worker for dead"
    )
    instance: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]{1,249}$",
        description="the worker's own name: restarted within the session timeout, it has its partitions back and no "
        "other worker pauses; without it, they go to others",
    )
    max_reject_share: float = Field(0.5, ge=0, le=1, description="share of refused events at which a worker stops")
    max_reject_run: int = Field(10_000, ge=1, description="refused events in a row at which a worker stops")
    worker_host: str = Field("127.0.0.1", description="the address of a worker's health and metrics")
    worker_port: int = Field(6066, ge=0, le=65535, description="port of a worker's health and metrics; 0: none")
    dashboard_host: str = Field("127.0.0.1", description="the address the dashboard listens on")
    dashboard_port: int = Field(
        8090, ge=0, le=65535, description="the port the dashboard listens on; 0 takes a free one"
    )
    dashboard_password_file: Path | None = Field(
        None, description="file whose first line is the dashboard's password (any user name); needed but on loopback"
    )
    dashboard_trusted_header: str | None = Field(
        None, description="header in which a proxy in front names the user that it has logged in, in place of it"
    )
    dashboard_proxies: str = Field(
        "127.0.0.1,::1", description="addresses or networks of these proxies; requests from elsewhere are refused"
    )
    dashboard_names: str | None = Field(
        None, description="further host names that the dashboard may be called by on loopback, separated by commas"
    )
    dashboard_sql: bool = Field(False, description="whether the dashboard runs read-only SQL that people type in")
    step_minutes: str = Field(
        "step_minutes", description="the topic of asks and yeses by minute, which alerts are made of; empty: none"
    )
    alerts: Path | None = Field(
        None, description="the file of alerts; without it ./alerts.toml, else two false alarms a month and no segments"
    )
    alerts_topic: str = Field("alerts", description="the topic that alerts go to")
    alerts_group: str = Field("yesladder-alerts", description="the alert agent's consumer group")
    alerts_host: str = Field("127.0.0.1", description="the address of the alert agent's health and metrics")
    alerts_port: int = Field(6067, ge=0, le=65535, description="port of the agent's health and metrics; 0: none")
    schedules: Path | None = Field(None, description="the file of scheduled reports; without it ./schedules.toml")
    smtp_host: str | None = Field(None, description="the server that sends the mails of reports")
    smtp_port: int | None = Field(
        None, ge=1, le=65535, description="its port; without it 587 for starttls, 465 for tls, 25 for none"
    )
    smtp_security: Literal["starttls", "tls", "none"] = Field("starttls", description="how to speak to it")
    smtp_user: str | None = Field(None, description="user name at it, where it asks for one")
    smtp_password: SecretStr | None = Field(None, description="password at it")
    smtp_from: str | None = Field(None, description="whom the mails are from: an address, or `Name <address>`")
    s3_endpoint: str | None = Field(
        None,
        description="address of the S3 server for reports and the lake, if not Amazon's, such as http://minio:9000",
    )
    engine: Literal["duckdb", "spark"] = Field(
        "duckdb", description="what runs the SQL of a build: duckdb, or spark, which builds from scratch every time"
    )
    spark_conf: str | None = Field(
        None, description="Spark's own settings for its builds, KEY=VALUE with spaces between them"
    )
    build_every: Duration = Field(timedelta(minutes=5), description="how often `up` builds the marts")
    upkeep_every: Duration = Field(
        timedelta(days=1), description="how often `up` mends late data and compacts the lake; 0s: never"
    )
    keep: Duration = Field(
        timedelta(days=1), description="how long files that were replaced stay for those who are reading them"
    )
    retain: Duration | None = Field(
        None, description="rows from before the day that lies this long ago are deleted; without it, none are"
    )

    def has_lake(self) -> bool:
        """Whether there is a lake, or an address where one is to be."""
        from warehouse.located import has_lake

        return self.lake is not None or has_lake(self.warehouse)

    def open_lake(self) -> Lake:
        """The lake, made on first use.  Raises what ``warehouse.located.lake_of`` does."""
        from warehouse.located import lake_of

        endpoint = self.s3_endpoint or os.environ.get("AWS_ENDPOINT_URL")
        return lake_of(self.warehouse, self.lake, {"AWS_ENDPOINT_URL": endpoint} if endpoint else {})

    def load_ladder(self) -> Ladder:
        """The ladder in force.  Raises ``UsageError`` for a wrong file."""
        if self.ladder is not None:
            return load_ladder(self.ladder)
        here = Path("ladder.toml")
        return load_ladder(here) if here.exists() else builtin_ladder()

    def load_alerts(self) -> AlertsConfig:
        """The alerts' file in force, or the defaults.  Raises ``UsageError`` for a wrong file."""
        from stream.alerts_config import AlertsConfig, load_alerts_config

        file = self.alerts_file()
        return AlertsConfig() if file is None else load_alerts_config(file)

    def alerts_file(self) -> Path | None:
        """The alerts' file in force; None where there is none."""
        here = Path("alerts.toml")
        return self.alerts or (here if here.exists() else None)

    def connection(self, brokers: str | None = None) -> KafkaConnection:
        """How to reach Kafka.  ``UsageError`` where nobody said where it is."""
        where = brokers or self.brokers
        if where is None:
            raise UsageError(
                "no Kafka brokers given; use --brokers HOST:PORT or YESLADDER_BROKERS, "
                "or `yesladder up`, which brings its own"
            )
        return KafkaConnection(
            where,
            security_protocol=self.security_protocol,
            sasl_mechanism=self.sasl_mechanism,
            username=self.username,
            password=None if self.password is None else self.password.get_secret_value(),
            ca_file=self.ca_file,
            certificate_file=self.certificate_file,
            key_file=self.key_file,
        )

    def spark(self) -> Spark | None:
        """How to start Spark, where it is the engine.  ``UsageError`` for settings of it that cannot be read."""
        from warehouse.spark_session import Spark

        if self.engine != "spark":
            return None
        conf: dict[str, str] = {}
        try:
            given = shlex.split(self.spark_conf or "")
        except ValueError as error:
            raise UsageError(f"{PREFIX}SPARK_CONF: {error}; write KEY=VALUE, in quotes if it has spaces") from None
        for pair in given:
            key, equals, value = pair.partition("=")
            if not equals or not key.startswith("spark."):
                raise UsageError(f"{PREFIX}SPARK_CONF: write spark.KEY=VALUE with spaces between them, not {pair!r}")
            conf[key] = value
        java_home = os.environ.get("JAVA_HOME")
        return Spark(conf, Path(java_home) if java_home else None)

    def schedules_file(self) -> Path:
        """Where scheduled reports are written down, if any are."""
        return Path("schedules.toml") if self.schedules is None else self.schedules

    def carriers(self) -> Carriers:
        """By what reports are sent.  ``UsageError`` where there is a mail server and nobody whom mails are from."""
        from answers.mail_addresses import mail_address
        from answers.sending import Carriers, MailServer

        if self.smtp_host is None:
            return Carriers(None, self.s3_endpoint)
        if self.smtp_from is None:
            raise UsageError(f"{PREFIX}SMTP_FROM: say whom mails are from, such as reports@shop.example")
        try:
            mail_address(self.smtp_from)
        except UsageError as error:
            raise UsageError(
                f"{PREFIX}SMTP_FROM: {error}; say whom mails are from, such as Reports <reports@shop.example>"
            ) from None
        password = None if self.smtp_password is None else self.smtp_password.get_secret_value()
        server = MailServer(
            self.smtp_host, self.smtp_from, self.smtp_port, self.smtp_security, self.smtp_user, password
        )
        return Carriers(server, self.s3_endpoint)

    def spool_folder(self) -> Path:
        """Where the collector spools."""
        return self.warehouse / "spool" if self.spool is None else self.spool

    def known_keys(self) -> frozenset[str] | None:
        """The write keys; None where every key is taken."""
        if self.write_keys is None:
            return None
        return frozenset(key.strip() for key in self.write_keys.split(",") if key.strip())


def environment_without_settings() -> dict[str, str]:
    """The environment for a process whose settings are all on its command line."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)}


def secret(variable: str, whose: str) -> str:
    """The value of a variable that a file names at a place (``whose``).  ``UsageError`` where it is not set."""
    value = os.environ.get(variable, "").strip()
    if not value:
        raise UsageError(f"{whose} names the variable {variable}, which is not set in the environment")
    return value


def read_settings(**options: Any) -> Settings:
    """Settings from the options given (None: not given), else the environment, else the defaults.

    Raises ``UsageError`` naming the first wrong setting.
    """
    try:
        return Settings(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        reason = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{name} (option --{name.replace('_', '-')} or {PREFIX}{name.upper()}): {reason}") from None
