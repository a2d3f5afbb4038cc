from __future__ import annotations

import base64
from pathlib import Path

import pytest

from answers.dashboard.doors import Doors, doors
from ladder.errors import UsageError

PASSWORD = "correct horse battery"


def basic(password: str, user: str = "maya") -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def status(of: Doors, method: str = "GET", peer: str | None = "127.0.0.1", **headers: str) -> int | None:
    refusal = of.refusal(method, {name.replace("_", "-"): text for name, text in headers.items()}, peer)
    return None if refusal is None else refusal.status


def local(**more: str) -> Doors:
    return doors("127.0.0.1", password_file=None, trusted_header=None, proxies="", **more)


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\nwhat follows is a note\n")
    return path


@pytest.mark.parametrize("host", ["127.0.0.1:8090", "localhost:8090", "LOCALHOST", "[::1]:8090"])
def test_on_loopback_nobody_is_asked_for_a_password(host: str) -> None:
    assert status(local(), host=host) is None


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8090", "", "[::1", "169.254.169.254"])
def test_a_name_that_somebody_points_at_loopback_reads_nothing(host: str) -> None:
    assert status(local(), host=host) == 421


def test_a_name_that_was_given_is_known() -> None:
    assert status(local(names="numbers.example, other.example"), host="Numbers.example:443") is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "numbers.example"])
def test_elsewhere_it_does_not_start_without_a_login(host: str) -> None:
    with pytest.raises(UsageError, match="--password-file"):
        doors(host, password_file=None, trusted_header=None, proxies="127.0.0.1")


def test_only_the_password_opens(password_file: Path) -> None:
    of = doors("0.0.0.0", password_file=password_file, trusted_header=None, proxies="")
    assert status(of, host="anything.example", **basic(PASSWORD)) is None
    for wrong in (PASSWORD[:-1], PASSWORD + "x", "", PASSWORD.upper(), "pässword"):
        assert status(of, host="anything.example", **basic(wrong)) == 401
    for wrong in ("", "Basic", "Basic !!!", f"Bearer {PASSWORD}", "Basic " + base64.b64encode(b"\xff:\xff").decode()):
        assert status(of, authorization=wrong) == 401
    refusal = of.refusal("GET", {}, "10.0.0.1")
    assert refusal is not None
    assert refusal.headers["www-authenticate"].startswith("Basic ")
    assert PASSWORD not in refusal.reason


def test_a_password_guards_loopback_too_where_one_is_given(password_file: Path) -> None:
    of = doors("127.0.0.1", password_file=password_file, trusted_header=None, proxies="")
    assert status(of, host="127.0.0.1") == 401
    assert status(of, host="evil.example", **basic(PASSWORD)) == 421


@pytest.mark.parametrize("text", ["", "short\n", "\nlong enough, but on the second line"])
def test_a_password_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "password"
    path.write_text(text)
    with pytest.raises(UsageError, match="12 characters"):
        doors("0.0.0.0", password_file=path, trusted_header=None, proxies="")


def test_a_trusted_header_counts_from_the_proxies_alone() -> None:
    of = doors("0.0.0.0", password_file=None, trusted_header="X-Forwarded-User", proxies="10.1.0.0/16, ::1")
    assert status(of, peer="10.1.2.3", x_forwarded_user="maya") is None
    assert status(of, peer="::1", x_forwarded_user="maya") is None
    assert status(of, peer="10.2.2.3", x_forwarded_user="maya") == 403
    assert status(of, peer=None, x_forwarded_user="maya") == 403
    assert status(of, peer="10.1.2.3") == 401
    assert status(of, peer="10.1.2.3", x_forwarded_user="") == 401


def test_proxies_that_are_no_addresses_are_refused() -> None:
    with pytest.raises(UsageError, match="--proxies"):
        doors("0.0.0.0", password_file=None, trusted_header="X-User", proxies="everybody")


def test_another_site_changes_nothing_in_the_name_of_who_looks() -> None:
    of = local()
    here = {"host": "127.0.0.1:8090"}
    assert status(of, "POST", sec_fetch_site="cross-site", **here) == 403
    assert status(of, "POST", sec_fetch_site="same-site", **here) == 403
    assert status(of, "POST", origin="http://evil.example", **here) == 403
    assert status(of, "POST", origin="null", **here) == 403
    assert status(of, "POST", sec_fetch_site="same-origin", **here) is None
    assert status(of, "POST", origin="http://127.0.0.1:8090", **here) is None
    assert status(of, "GET", sec_fetch_site="cross-site", **here) is None


def test_behind_a_proxy_on_this_machine_only_known_names_come_in() -> None:
    of = doors("127.0.0.1", password_file=None, trusted_header="X-User", proxies="127.0.0.1", names="numbers.example")
    headers = {"x-user": "ann"}

    assert of.refusal("GET", headers | {"host": "numbers.example"}, "127.0.0.1") is None
    refused = of.refusal("GET", headers | {"host": "evil.example"}, "127.0.0.1")
    assert refused is not None
    assert refused.status == 421
