"""Python's own log, for finding faults in meshtop. What happens to the mesh is in the event log, not here."""

from __future__ import annotations

import logging


def log_to(file: str | None, *, screen: bool) -> None:
    """Python's logging goes to ``file`` if there is one. Without, warnings of meshtop itself go to standard error, and
    nothing at all where a screen is drawn; asyncssh's never reach a terminal, it says in them what nodes sent."""
    root = logging.getLogger()
    handler: logging.Handler
    if file is not None:
        handler = logging.FileHandler(file, encoding="utf-8", errors="backslashreplace")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.setLevel(logging.INFO)
    elif screen:
        handler = logging.NullHandler()
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("meshtop: %(message)s"))
        handler.addFilter(lambda record: not record.name.startswith("asyncssh"))
        root.setLevel(logging.WARNING)
    root.addHandler(handler)
