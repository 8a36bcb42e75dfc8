"""The one exception that a parser may raise."""

from __future__ import annotations


class ParseError(ValueError):
    """Input that a parser does not understand. The message is clean text and holds at most an excerpt of the input."""
