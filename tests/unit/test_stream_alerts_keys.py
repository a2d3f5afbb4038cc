from __future__ import annotations

import numpy as np

from stream.alerts_keys import MOST_VALUES, OTHER, WORTH_WATCHING, Group, Keys, Name


def cart(*values: str) -> Name:
    return (3, "add to cart", values)


def test_counts_go_to_their_own_key_and_rare_values_to_the_other_ones() -> None:
    keys = Keys(["device_class"])
    assert keys.find(cart("mobile")) is None
    added = keys.admit({cart("mobile"): 500, cart("desktop"): 900, cart("watch"): 15, cart("tv"): 6})
    assert added == 3
    assert keys.names == [cart("desktop"), cart("mobile"), cart(OTHER)]
    assert [keys.find(cart(v)) for v in ("desktop", "mobile", "watch", "fridge")] == [0, 1, 2, 2]
    assert keys.find((4, "pay", ("mobile",))) is None


def test_a_segment_has_twenty_values_of_its_own_the_most_frequent() -> None:
    keys = Keys(["utm_campaign"])
    keys.admit({cart(f"c{n:02}"): 1000 - n for n in range(MOST_VALUES + 5)})
    own = {name[2][0] for name in keys.names}
    assert own == {f"c{n:02}" for n in range(MOST_VALUES)} | {OTHER}
    assert keys.find(cart("c24")) == keys.find(cart(OTHER))


def test_what_comes_up_later_is_added_behind_what_is_there() -> None:
    keys = Keys(["device_class"])
    keys.admit({cart("mobile"): 500})
    assert keys.find(cart("tablet")) is None
    keys.admit({cart("tablet"): WORTH_WATCHING, cart("tv"): WORTH_WATCHING - 1})
    assert keys.names == [cart("mobile"), cart("tablet")]
    assert (keys.find(cart("tablet")), keys.find(cart("tv"))) == (1, None)


def test_without_segments_a_step_is_one_key_and_there_are_no_groups() -> None:
    keys = Keys([])
    keys.admit({cart(): 100, (4, "pay", ()): 50})
    assert keys.names == [cart(), (4, "pay", ())]
    assert keys.groups(np.array([True, True])) == []


def test_the_known_keys_of_a_step_are_a_group_and_so_are_those_that_share_a_value() -> None:
    keys = Keys(["device_class", "utm_source"])
    names = [cart("mobile", "ads"), cart("mobile", "mail"), cart("desktop", "ads"), cart("desktop", "mail")]
    keys.admit({name: 100 - number for number, name in enumerate(names)})
    mobile, ads = ("device_class", "mobile"), ("utm_source", "ads")
    assert keys.groups(np.array([True, True, True, False])) == [
        Group(3, "add to cart", (), (0, 1, 2)),
        Group(3, "add to cart", (mobile,), (0, 1)),
        Group(3, "add to cart", (ads,), (0, 2)),
    ]


def test_groups_keep_their_place_and_their_members_while_others_join() -> None:
    keys = Keys(["device_class"])
    keys.admit({cart("mobile"): 500, cart("desktop"): 400})
    before = keys.groups(np.array([True, True]))
    keys.admit({cart("tablet"): 300, (4, "pay", ("mobile",)): 40, (4, "pay", ("desktop",)): 30})
    after = keys.groups(np.array([False, True, True, True, True]), before)
    assert after == [
        Group(3, "add to cart", (), (0, 1, 2)),
        Group(4, "pay", (), (3, 4)),
    ]


def test_a_step_shows_another_when_it_is_asked_about_as_often_as_yes_is_said() -> None:
    keys = Keys(["device_class"])
    keys.admit({cart("m"): 1000, (4, "pay", ("m",)): 300, (5, "order", ("m",)): 250, cart("d"): 200})
    asks, yeses = np.array([1000.0, 300, 250, 200]), np.array([320.0, 260, 200, 60])
    assert keys.names == [cart("m"), (4, "pay", ("m",)), (5, "order", ("m",)), cart("d")]
    assert keys.shown_by(asks, yeses) == (1, 2, -1, -1)
