from __future__ import annotations

from collections.abc import Collection

from producers.kafka_session import _Delivery


def test_a_delivery_ends_once_with_its_first_failure_and_the_places_of_what_has_arrived() -> None:
    ended: list[tuple[Exception | None, list[int]]] = []
    troubles: list[Exception] = []

    def finish(error: Exception | None, arrived: Collection[int]) -> None:
        ended.append((error, sorted(arrived)))

    first, second = OSError("first"), OSError("second")
    delivery = _Delivery(4, 0.0, troubles.append, finish)
    delivery.arrived(None)
    delivery.arrived(2)
    delivery.failed(first)
    assert (troubles, ended) == ([first], [])
    delivery.arrived(0)
    delivery.give_up(second)
    assert ended == [(first, [0, 2])]
    delivery.arrived(3)
    delivery.give_up(second)
    assert (ended, troubles) == ([(first, [0, 2])], [first, second])

    whole = _Delivery(1, 0.0, troubles.append, finish)
    whole.arrived(0)
    whole.arrived(None)
    assert ended[1:] == [(None, [0])]
