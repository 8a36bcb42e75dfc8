"""What runs on a node: probe.sh, sent over the session, nothing written to its disk."""
