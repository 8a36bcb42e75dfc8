"""Keeps the sessions, turns bytes into engine events, sends probes. Everything asynchronous lives here."""
