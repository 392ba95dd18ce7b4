"""Tests of sets of numbers that are kept as ranges."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from unet_engine.prediction.number_set import NumberSet

numbers = st.integers(0, 40)
changes = st.one_of(
    st.tuples(st.just("add"), numbers, numbers),
    st.tuples(st.just("discard"), numbers, numbers),
)


@given(st.lists(changes, max_size=30))
def test_it_is_the_set_of_the_same_changes(made):
    expected, found = set(), NumberSet()
    for kind, number, other in made:
        if kind == "add":
            expected.update(range(number, other))
            found.add_range(number, other)
        else:
            expected.discard(number)
            found.discard(number)
    assert list(found) == sorted(expected)
    assert len(found) == len(expected)
    assert [n in found for n in range(42)] == [n in expected for n in range(42)]
    ranges = list(found.ranges)
    assert all(a[1] < b[0] for a, b in pairwise(ranges))
    assert list(NumberSet(reversed(ranges))) == list(found)
