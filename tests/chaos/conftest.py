from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "chaos: minutes of faults on Apache Kafka; left out of `make test` (make chaos)")
