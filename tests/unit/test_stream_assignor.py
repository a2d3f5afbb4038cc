from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

from stream.assignor import StickyAssignor


def cluster(partitions: int) -> Any:
    return SimpleNamespace(partitions_for_topic=lambda topic: set(range(partitions)) if topic == "events" else None)


def rebalance(partitions: int, *workers: StickyAssignor) -> list[list[int]]:
    """All say what they hold, the first shares out, all hear of it, each as bytes; the partitions of each."""
    said = {
        str(n): ConsumerProtocolMemberMetadata.decode(worker.metadata(["events"]).encode())
        for n, worker in enumerate(workers)
    }
    given = workers[0].assign(cluster(partitions), said)
    shares = []
    for n, worker in enumerate(workers):
        told = ConsumerProtocolMemberAssignment.decode(given[str(n)].encode())
        worker.on_assignment(told)
        shares.append([place.partition for place in told.partitions()])
    return shares


def test_a_worker_that_joins_is_given_its_share_and_the_others_keep_the_rest() -> None:
    a, b, c = StickyAssignor(), StickyAssignor(), StickyAssignor()
    assert rebalance(6, a, b) == [[0, 1, 2], [3, 4, 5]]
    assert rebalance(6, a, b, c) == [[0, 1], [3, 4], [2, 5]]


def test_what_a_worker_leaves_goes_to_the_others_who_keep_theirs() -> None:
    a, b, c = StickyAssignor(), StickyAssignor(), StickyAssignor()
    rebalance(6, a, b, c)
    assert rebalance(6, c, a) == [[2, 4, 5], [0, 1, 3]]


def test_a_worker_that_was_out_for_a_round_does_not_get_back_what_was_given_away() -> None:
    a, b, out = StickyAssignor(), StickyAssignor(), StickyAssignor()
    assert rebalance(2, a, out) == [[0], [1]]
    assert rebalance(2, a, b) == [[0], [1]]
    assert rebalance(2, a, b, out) == [[0], [1], []]


def test_partitions_that_are_added_later_are_shared_out_too() -> None:
    a, b = StickyAssignor(), StickyAssignor()
    rebalance(2, a, b)
    assert rebalance(5, a, b) == [[0, 2, 3], [1, 4]]


def test_a_worker_that_says_nothing_of_ours_holds_nothing() -> None:
    a = StickyAssignor()
    other = ConsumerProtocolMemberMetadata(0, ["events"], b"\x00\x01")
    given = a.assign(cluster(2), {"a": a.metadata(["events"]), "b": other})
    assert [given[name].assignment for name in "ab"] == [[("events", [0])], [("events", [1])]]


def test_a_topic_that_is_not_there_yet_leaves_everybody_without_work() -> None:
    a = StickyAssignor()
    given = a.assign(cluster(0), {"a": a.metadata(["not yet"])})
    assert given["a"].assignment == []
