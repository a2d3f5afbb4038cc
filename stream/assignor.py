"""``stream.sharing`` as aiokafka's group protocol wants it: one worker, the group's leader, shares out for all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

from stream.sharing import Held, Place, shared_out

_VERSION = 0


class _Said(msgspec.Struct):
    """What travels with a join: as ``Held``.  With an assignment, the round alone."""

    round: int
    places: list[Place] = []


class StickyAssignor:
    """Of one consumer.  Workers that know only another one are kept out of the group, and keep this one out."""

    name = "yesladder-sticky"

    def __init__(self) -> None:
        self._held = Held()

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        said = _Said(self._held.round, sorted(self._held.places))
        return ConsumerProtocolMemberMetadata(_VERSION, list(topics), msgspec.json.encode(said))

    def assign(
        self, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """By member.  All of them are subscribed to the same topics: those of one app."""
        topics = {topic for metadata in members.values() for topic in metadata.subscription}
        places = [(topic, p) for topic in topics for p in cluster.partitions_for_topic(topic) or ()]
        held = {member: _held(metadata.user_data) for member, metadata in members.items()}
        said = msgspec.json.encode(_Said(1 + max(one.round for one in held.values())))
        return {
            member: ConsumerProtocolMemberAssignment(_VERSION, _by_topic(share), said)
            for member, share in shared_out(places, held).items()
        }

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        places = frozenset((place.topic, place.partition) for place in assignment.partitions())
        self._held = Held(_held(assignment.user_data).round, places)


def _held(user_data: bytes) -> Held:
    """Nothing where it is not ours."""
    try:
        said = msgspec.json.decode(user_data, type=_Said)
    except msgspec.DecodeError:
        return Held()
    return Held(said.round, frozenset(said.places))


def _by_topic(places: Iterable[Place]) -> list[tuple[str, list[int]]]:
    found: dict[str, list[int]] = {}
    for topic, partition in places:
        found.setdefault(topic, []).append(partition)
    return sorted(found.items())
