"""/proc/net/netstat: TcpExt, IpExt and, from Linux 5.6, MPTcpExt (net/ipv4/proc.c, ``netstat_seq_show``;
net/mptcp/mib.c; meaning of the counters: Documentation/networking/snmp_counter.rst).

The form is that of /proc/net/snmp, so one reader serves both.
"""

from __future__ import annotations

from meshtop.parse.snmp import parse_counters

__all__ = ["parse_counters"]
