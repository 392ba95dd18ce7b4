"""Tests of failures as lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from unet_engine.failures import quoted


@given(st.text(max_size=2000), st.integers(3, 600))
def test_what_is_quoted_is_a_part_of_a_line(text: str, most: int):
    found = quoted(text, most)
    assert len(found) <= most + 1
    assert len(found.splitlines()) <= 1
    whole = " ".join(text.split())
    if len(whole) <= most:
        assert found == whole
    else:
        start, _, end = found.partition("…") if "…" not in whole else ("", "", "")
        assert whole.startswith(start)
        assert whole.endswith(end)


def test_of_a_long_line_the_advice_is_kept():
    line = f"depth is {'long' * 1000!r}; use a whole number from 1 to 8"
    assert quoted(line).startswith("depth is 'longlong")
    assert quoted(line).endswith("use a whole number from 1 to 8")
