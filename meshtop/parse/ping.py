"""Lines of ping: iputils (with and without ``-D`` and ``-O``) and BusyBox.

Read for it: iputils ``ping/ping_common.c`` (``gather_statistics``, ``print_timestamp``), ``ping/ping.c`` (``pr_icmph``,
``receive_error_msg``); BusyBox ``networking/ping.c``. iputils numbers from 1, BusyBox from 0.
"""

from __future__ import annotations

import re

from meshtop.parse.errors import ParseError
from meshtop.parse.text import clean
from meshtop.readings import PingProblem, PingReply

MAX_LINE = 1024  # longer is no line of ping
_STAMP = re.compile(r"\[(\d{1,12}(?:\.\d{1,9})?)\] ?", re.ASCII)
_REPLY = re.compile(
    r"\d{1,6} bytes from .{1,300}?: (?:icmp_)?seq=(\d{1,6})(?: ttl=\d{1,3})?"
    r"(?: time=(\d{1,9}(?:\.\d{1,6})?) ms)?(?: (\([A-Za-z !]{1,40}\)))?",
    re.ASCII,
)
# Said in the normal course of things: the header, "no answer yet", the closing statistics, those on SIGQUIT.
_QUIET = re.compile(
    r"PING .*"
    r"|no answer yet for icmp_seq=\d+"
    r"|--- .* ping statistics ---"
    r"|\d+ packets transmitted, .*"
    r"|(?:rtt|round-trip) min/avg/max.*"
    r"|pipe \d+"
    r"|\d+/\d+ packets, \d+% loss.*",
    re.ASCII,
)
_PROBLEM = re.compile(
    r"From .{1,300}? icmp_seq=\d+ .+"  # an ICMP error from a router or from this node's own stack
    r"|.{0,100}\bping6?(?:[-.][\w.-]{1,20})?: .+"  # ping's own, or the shell's that could not start it
    r"|(?:WARNING|Warning): .+",
    re.ASCII,
)


def parse_ping_line(
    line: str, target: str, payload_bytes: int, uptime_s: float, *, wall_minus_uptime_s: float | None = None
) -> PingReply | PingProblem | None:
    """One line that was seen at ``uptime_s`` (node clock). None for what needs no attention: headers, statistics,
    ``no answer yet``, and a second reply to the same probe (``(DUP!)``). A damaged or foreign reply is a problem.

    ``-D`` stamps a line with the node's wall clock at the reply's arrival; ``sent_uptime_s`` can be had from it only
    if ``wall_minus_uptime_s``, that clock's distance from /proc/uptime, is known. Raises ParseError, and nothing else,
    for a line that ping would not print, a cut one for instance.
    """
    if len(line) > MAX_LINE:
        raise ParseError(f"a line of {len(line)} characters is not from ping")
    text = clean(line, MAX_LINE)
    stamp = _STAMP.match(text)
    body = text[stamp.end() :] if stamp else text
    if not body or _QUIET.fullmatch(body):
        return None
    reply = _REPLY.fullmatch(body)
    if reply is None:
        if _PROBLEM.fullmatch(body):
            return _problem(body, target, payload_bytes, uptime_s)
        raise ParseError(f"not a line of ping: {clean(body, 80)}")
    seq, rtt, remark = reply.groups()
    if remark == "(DUP!)":
        return None
    if remark is not None:
        return _problem(body, target, payload_bytes, uptime_s)
    if rtt is None:
        raise ParseError(f"a reply without a time: {clean(body, 80)}")
    rtt_ms = float(rtt)
    sent_uptime_s = None
    if stamp is not None and wall_minus_uptime_s is not None:
        sent_uptime_s = float(stamp[1]) - wall_minus_uptime_s - rtt_ms / 1000
    return PingReply(
        target=target,
        payload_bytes=payload_bytes,
        seq=int(seq),
        rtt_ms=rtt_ms,
        uptime_s=uptime_s,
        sent_uptime_s=sent_uptime_s,
    )


def _problem(text: str, target: str, payload_bytes: int, uptime_s: float) -> PingProblem:
    return PingProblem(target=target, payload_bytes=payload_bytes, uptime_s=uptime_s, text=clean(text))
