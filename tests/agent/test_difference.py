"""What probe.awk makes of two rows, and what parse.rows makes of it: always the second row again."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.resources import files

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshtop.parse.rows import edited

pytestmark = pytest.mark.node

SEPARATOR = "\x1f"
MAIN = f"""
BEGIN {{ for (i = 0; i < 25; i++) LETTER[i] = sprintf("%c", 97 + i) }}
{{ split($0, PART, "{SEPARATOR}"); print difference(PART[2], PART[3], PART[1] + 0); fflush() }}
"""
NAMES = ["rtt", "cwnd", "ssthresh", "bytes_acked", "lastsnd", "busy", "unacked", "skmem"]

numbers = st.one_of(
    st.integers(0, 30).map(str),
    st.integers(0, 10**17).map(str),
    st.sampled_from(["0", "00", "007", "1e5", "000001e5", "00100000", "+1", "-1", "0x10", "inf", "nan", ".5", "5."]),
)
words = st.one_of(
    numbers,
    st.builds("{}:{}".format, st.sampled_from(NAMES), numbers),
    st.builds("{}:{}/{}".format, st.sampled_from(NAMES), numbers, numbers),
    st.builds("{}:{}ms".format, st.sampled_from(NAMES), numbers),
    st.builds(",{}{}".format, st.sampled_from("rtfwo"), numbers),
    st.builds("{}bps".format, numbers),
    st.sampled_from(["cubic", "bbr", "app_limited", "timer:(on", ",084ms", "ts", "sack", "pacing_rate", "<->"]),
    st.text("abz019~=+!-(),:/@é", min_size=1, max_size=6),
)
rows = st.lists(words, min_size=1, max_size=60)


@st.composite
def changed(draw):
    """A row, and the same after a few edits, as a socket's line changes."""
    old = draw(rows)
    new = list(old)
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(new)))
        what = draw(st.sampled_from(["put", "take", "replace"]))
        if what == "put":
            new.insert(at, draw(words))
        elif at < len(new) and what == "take":
            del new[at]
        elif at < len(new):
            new[at] = draw(words)
    return old, new or ["x"]


@pytest.fixture(scope="module", params=["mawk -W interactive", "busybox awk"])
def difference(request):
    """The function of that name in probe.awk, running."""
    source = (files("meshtop.agent") / "probe.awk").read_text()
    wanted = ("difference", "value_change", "named_ahead")
    functions = [re.search(rf"^function {name}\(.*?^}}", source, re.MULTILINE | re.DOTALL) for name in wanted]
    program = "\n".join(found.group() for found in functions if found) + MAIN
    command, *options = request.param.split()
    path = shutil.which(command)
    assert path, f"{command} is needed for this test"
    with subprocess.Popen(
        (path, *options, program), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={"LC_ALL": "C"}
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def ask(old: list[str], new: list[str], named: bool) -> str:
            print(int(named), " ".join(old), " ".join(new), sep=SEPARATOR, file=process.stdin, flush=True)
            return process.stdout.readline().removesuffix("\n")

        yield ask
        process.stdin.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400)
@given(pair=st.one_of(st.tuples(rows, rows), changed()), named=st.booleans())
def test_a_difference_undone_is_the_new_row(difference, pair, named):
    old, new = pair
    assert edited(old, difference(old, new, named)) == new


def test_a_difference_is_short(difference):
    old = "ESTAB 0 0 a:22 b:5 rto:204 rtt:4.5/2 bytes_acked:4778 segs_out:10 lastsnd:8 minrtt:3.1"
    new = "ESTAB 0 9 a:22 b:5 timer:(on ,1ms ,0) rto:204 rtt:4.6/2 bytes_acked:6226 segs_out:11 minrtt:3"
    assert difference(old.split(), new.split(), True) == "c9c+timer:(on a+,1ms a+,0) b~4.6/2 a1448a1a!a~3"
