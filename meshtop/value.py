"""What every value of the house is made of."""

from __future__ import annotations

import msgspec

NodeName = str
PathName = str


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all values: immutable, slotted, compared by content."""
