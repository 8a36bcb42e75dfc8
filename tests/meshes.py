"""Configurations that several tests start meshtop with."""

# Nobody listens there: each node is refused at once.
UNREACHABLE = """
[mesh]
name = "nowhere"
[paths.p]
kind = "underlay"
[nodes.a]
ssh = "127.0.0.2:9"
address = { p = "127.0.0.2" }
[nodes.b]
ssh = "127.0.0.3:9"
address = { p = "127.0.0.3" }
"""
HERE = UNREACHABLE.replace('"127.0.0.2:9"', '"local"')  # one of them is this machine
