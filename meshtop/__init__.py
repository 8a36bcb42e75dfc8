"""meshtop: a full-screen monitor for the links of a small mesh of Linux servers."""

__version__ = "0.1.0.dev0"
