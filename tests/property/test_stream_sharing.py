"""However workers come and go: shares are even, complete, and as much stays as can."""

from __future__ import annotations

from hypothesis import given, strategies as st

from stream.sharing import Held, Place, shared_out

WORKERS = st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=10, unique=True)


@st.composite
def groups(draw: st.DrawFn) -> tuple[list[Place], dict[str, Held]]:
    """Partitions, and workers of which some claim what others claim, too, or what is not there any more."""
    places = [("events", p) for p in range(draw(st.integers(0, 20)))]
    claimed = st.frozensets(st.sampled_from([("events", p) for p in range(25)]), max_size=20)
    return places, {name: Held(draw(st.integers(0, 3)), draw(claimed)) for name in draw(WORKERS)}


@given(groups())
def test_all_is_given_out_once_and_evenly(group: tuple[list[Place], dict[str, Held]]) -> None:
    places, held = group
    shares = shared_out(places, held)
    assert shares.keys() == held.keys()
    assert sorted(place for share in shares.values() for place in share) == sorted(places)
    sizes = [len(share) for share in shares.values()]
    assert max(sizes) - min(sizes) <= 1
    assert shared_out(list(reversed(places)), dict(reversed(held.items()))) == shares


@given(st.integers(0, 40), WORKERS, WORKERS)
def test_no_fewer_could_move_when_workers_come_and_go(count: int, before: list[str], after: list[str]) -> None:
    places = [("events", p) for p in range(count)]
    shares = shared_out(places, dict.fromkeys(before, Held()))
    held = {name: Held(1, frozenset(shares[name])) if name in shares else Held() for name in after}
    now = shared_out(places, held)
    moved = sum(len(set(now[name]) - held[name].places) for name in after)
    # Whoever stays keeps all that an even share of the new size allows; the larger shares are theirs who have most.
    least, larger = divmod(count, len(after))
    kept = sum(min(len(held[name].places), least) for name in after)
    kept += min(larger, sum(len(held[name].places) > least for name in after))
    assert moved == count - kept


@given(st.integers(1, 40), WORKERS)
def test_nothing_moves_while_nobody_comes_or_goes(count: int, names: list[str]) -> None:
    places = [("events", p) for p in range(count)]
    shares = shared_out(places, dict.fromkeys(names, Held()))
    assert shared_out(places, {name: Held(5, frozenset(share)) for name, share in shares.items()}) == shares
