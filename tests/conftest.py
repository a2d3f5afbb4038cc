from __future__ import annotations

from collections.abc import Iterator

import pytest

from producers.embedded import EmbeddedBroker


@pytest.fixture(scope="session")
def embedded_broker() -> Iterator[EmbeddedBroker]:
    """A broker for everybody: use a topic of your own, and do not pause or stop it."""
    with EmbeddedBroker() as broker:
        yield broker
