"""How far workers want an object to be fetched that another of them fetches."""

from aprp.media.tally import Tallies

ID = 7_000_001


def test_the_furthest_wish_counts() -> None:
    tallies = Tallies(2)
    assert tallies.wished(ID) == (0, 0)
    tallies.wish(ID, 5000, 1000)
    tallies.wish(ID, 4000, 1100)
    assert tallies.wished(ID) == (5000, 1000)
    tallies.wish(ID, 6000, 1150)
    assert tallies.wished(ID) == (6000, 1150)


def test_a_wish_that_is_not_renewed_gives_way() -> None:
    tallies = Tallies()
    tallies.wish(ID, 5000, 1000)
    tallies.wish(ID, 100, 1201)
    assert tallies.wished(ID) == (100, 1201)


def test_a_wish_is_taken_back_by_who_put_it_down() -> None:
    tallies = Tallies(2)
    assert tallies.wish(ID, 5000, 1000)
    assert not tallies.wish(ID, 4000, 1100)
    tallies.withdraw(ID, 4000, 1100)
    assert tallies.wished(ID) == (5000, 1000)
    tallies.withdraw(ID, 5000, 1000)
    assert tallies.wished(ID)[1] == 0
    # Another's, however near, stands at once.
    assert tallies.wish(ID, 100, 1101)
    assert tallies.wished(ID) == (100, 1101)


def test_another_object_in_the_slot_has_its_own() -> None:
    tallies = Tallies(1, slots=4)
    tallies.wish(ID, 5000, 1000)
    assert tallies.wished(ID + 4) == (0, 0)
    tallies.publish(ID + 4, 1)
    assert tallies.wished(ID) == (0, 0)
