from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from producers.embedded import EmbeddedBroker
from warehouse.quality import Gate

# The same examples every time, so that a red test is the change's doing; `make fuzz` looks for new ones.
settings.register_profile("fixed", derandomize=True)
settings.load_profile("fixed")


@pytest.fixture(scope="session")
def embedded_broker() -> Iterator[EmbeddedBroker]:
    """A broker for everybody: use a topic of your own, and do not pause or stop it."""
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def gate() -> Iterator[Gate]:
    """One quality gate for all builds: it takes seconds to load."""
    with Gate() as loaded:
        yield loaded
