from __future__ import annotations

import hashlib
import json
import re
from importlib.resources import files

ASSETS = files("answers") / "assets"


def test_the_bundle_is_of_the_version_that_package_json_names() -> None:
    version = json.loads((ASSETS / "package.json").read_text())["dependencies"]["echarts"]
    bundle = (ASSETS / "echarts.js").read_text()
    assert bundle.startswith(f"/*! Apache ECharts {version}, Apache-2.0; ")
    assert f'"{version}"' in bundle.partition("*/")[2]


def test_the_bundle_was_built_from_the_committed_sources() -> None:
    sources = (ASSETS / "charts.js").read_bytes() + (ASSETS / "package-lock.json").read_bytes()
    first_line = (ASSETS / "echarts.js").read_text().partition("\n")[0]
    assert first_line.endswith(f"sources {hashlib.sha256(sources).hexdigest()}"), "run answers/assets/build.sh"


def test_the_bundle_carries_the_notices_of_all_that_is_in_it() -> None:
    banner = (ASSETS / "echarts.js").read_text().partition("*/")[0]
    notice = (ASSETS / "NOTICE-echarts").read_text()
    assert notice in banner
    for owner in ("The Apache Software Foundation", "Baidu Inc.", "Mike Bostock", "Microsoft Corporation"):
        assert owner in notice
    assert "Apache License" in (ASSETS / "LICENSE-echarts").read_text()


def test_the_bundle_can_stand_inside_a_script_element() -> None:
    bundle = (ASSETS / "echarts.js").read_text()
    assert "</script" not in bundle.lower()
    assert "<!--" not in bundle
    assert re.search(r"\b(eval|Function)\(", bundle) is None, "the page's policy forbids it"


def test_the_lock_names_no_place_to_load_from() -> None:
    lock = json.loads((ASSETS / "package-lock.json").read_text())
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []
