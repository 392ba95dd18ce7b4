"""``Finding``: one thing that was looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal, get_args

State = Literal["ok", "note", "broken"]
"""Of what was looked at: it works, it works and there is something to know, it does
not work."""

Area = Literal["libraries", "devices", "folders", "models", "display", "self-test"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    area
        The part of the report that it belongs to.
    state
        Whether it works.
    text
        What was found, in one line.
    advice
        What to do about it; empty when there is nothing to do.
    """

    area: Area
    state: State
    text: str
    advice: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return it as JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: object) -> Finding:
        """Read what ``to_dict`` returned.

        Raises
        ------
        ValueError
            When it is anything else.
        """
        if not isinstance(values, dict) or set(values) != set(cls.__slots__):
            raise ValueError("it has not the fields of a finding")
        if values["area"] not in get_args(Area) or values["state"] not in get_args(
            State
        ):
            raise ValueError("it has an unknown area or state")
        return cls(**{name: str(value) for name, value in values.items()})  # type: ignore[arg-type]


def one_line(error: BaseException, most: int = 300) -> str:
    """Return an exception as one line of at most ``most`` letters."""
    text = " ".join(str(error).split()) or "no reason is given"
    return f"{type(error).__name__}: {text}"[:most]
