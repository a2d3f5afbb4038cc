"""The browser of the page tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.browser.chromium import Browser, Chromium


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("the page tests need Chromium on the PATH: apt-get install -y chromium", pytrace=False)
    browser = Browser(program, tmp_path_factory.mktemp("chromium"))
    yield Chromium(browser)
    browser.close()
