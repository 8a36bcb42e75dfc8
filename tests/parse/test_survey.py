# ruff: noqa: E501  # lines as ip prints them
"""A node's survey, with and without ``ip``, whole and damaged."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshtop.parse.survey import Interface, NodeSurvey, OwnSocket, TunHolder, parse_survey

HEAD = r"""
#mt begin
#mt clock
#mt wall
1714573000.250000000
#mt who
0
root
#mt kernel
6.1.0-18-amd64
#mt host
hub
#mt system
"Debian GNU/Linux 12 (bookworm)"
#mt shell
/bin/bash
#mt ssh
198.51.100.9 51234 10.1.0.4 22
#mt tool awk
#mt tool ss
ss utility, iproute2-6.1.0, libbpf 1.1.0
#mt tool ping
ping from iputils 20221126
#mt tool iperf3
iperf 3.12 (cJSON 1.7.15)
#mt ss-answers
status 0
#mt ping 56
64 bytes from 127.0.0.1: icmp_seq=1 ttl=64 time=0.02 ms
#mt ping 1200
ping: socktype: SOCK_RAW
ping: socket: Operation not permitted
#mt listening
0016
01BB
junk
"""
WITH_IP = r"""
#mt link
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN mode DEFAULT group default qlen 1000\    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0
2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP mode DEFAULT group default qlen 1000\    link/ether 52:54:00:12:34:56 brd ff:ff:ff:ff:ff:ff promiscuity 0  allmulti 0 minmtu 68 maxmtu 65535 addrgenmode eui64
3: vpn_vpn: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc pfifo_fast state UNKNOWN mode DEFAULT group default qlen 1000\    link/ether 5e:01:02:03:04:05 brd ff:ff:ff:ff:ff:ff promiscuity 0 \    tun type tap pi off vnet_hdr off persist off addrgenmode eui64
4: wg0: <POINTOPOINT,NOARP,UP,LOWER_UP> mtu 1420 qdisc noqueue state UNKNOWN mode DEFAULT group default qlen 1000\    link/none  promiscuity 0 \    wireguard addrgenmode none
5: tap_b@if9: <BROADCAST,UP> mtu 1500 qdisc mq master br0 state UP\    link/ether 5e:01:02:03:04:06 brd ff:ff:ff:ff:ff:ff \    tun type tap pi off
6: docker0: <NO-CARRIER,BROADCAST,MULTICAST> mtu 1500 qdisc noqueue state DOWN\    link/ether 02:42:00:00:00:01 brd ff:ff:ff:ff:ff:ff promiscuity 0 \    bridge forward_delay 1500
#mt addr
1: lo    inet 127.0.0.1/8 scope host lo\       valid_lft forever preferred_lft forever
2: eth0    inet 10.1.0.4/24 brd 10.1.0.255 scope global dynamic eth0\       valid_lft 85938sec
2: eth0    inet6 2001:db8::4/64 scope global \       valid_lft forever
2: eth0    inet6 fe80::5054:ff:fe12:3456/64 scope link \       valid_lft forever
3: vpn_vpn    inet 10.10.10.4/24 brd 10.10.10.255 scope global vpn_vpn\       valid_lft forever
4: wg0    inet 10.9.0.4 peer 10.9.0.1/32 scope global wg0\       valid_lft forever
#mt route
default via 10.1.0.1 dev eth0 proto dhcp src 10.1.0.4 metric 100
#mt tcp
ESTAB 0 0 10.1.0.4:41000 203.0.113.10:443 users:(("vpnclient",pid=812,fd=9))
LISTEN 0 128 *:22 *:* users:(("sshd",pid=400,fd=3))
LISTEN 0 128 [::]:443 [::]:* users:(("vpn server",pid=813,fd=4))
#mt tun
vpn_vpn 812 vpnclient
#mt wg
wg0	51820
#mt end
"""
WITHOUT_IP = """
#mt sysfs
lo type=772 mtu=65536 state=unknown tun=- devtype=- master=-
eth0 type=1 mtu=1500 state=up tun=- devtype=- master=-
tun0 type=65534 mtu=1400 state=unknown tun=0x1101 devtype=- master=-
wg0 type=65534 mtu=1420 state=unknown tun=- devtype=wireguard master=-
#mt local4
127.0.0.1
10.1.0.4
10.8.0.6
#mt route4
Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
eth0\t00000000\t0100010A\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0000010A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
tun0\t0000080A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
#mt local6
20010db8000000000000000000000004 02 40 00 80 eth0
#mt end
"""


def test_all_is_read_where_ip_is_there() -> None:
    found = parse_survey((HEAD + WITH_IP).splitlines())
    assert (found.whole, found.uid, found.user, found.host) == (True, 0, "root", "hub")
    assert (found.system, found.ssh_local) == ("Debian GNU/Linux 12 (bookworm)", "10.1.0.4")
    assert (found.ss, found.ping, found.iperf3, found.wall_s) == ("6.1.0", "iputils 20221126", "3.12", 1714573000.25)
    assert found.ss_complaint is None
    assert found.own_pings[56] == (True, "64 bytes from 127.0.0.1: icmp_seq=1 ttl=64 time=0.02 ms")
    assert found.own_pings[1200] == (False, "ping: socktype: SOCK_RAW; ping: socket: Operation not permitted")
    assert found.listening == (22, 443)
    kinds = {each.name: (each.kind, each.up, each.master) for each in found.interfaces}
    assert kinds == {
        "lo": ("loopback", True, None), "eth0": ("ether", True, None), "vpn_vpn": ("tap", True, None),
        "wg0": ("wireguard", True, None), "tap_b": ("tap", True, "br0"), "docker0": ("bridge", False, None),
    }  # fmt: skip
    assert found.addresses == {"10.1.0.4", "2001:db8::4", "10.10.10.4", "10.9.0.4"}
    assert found.interface("eth0") == Interface(
        name="eth0", mtu=1500, addresses=(("10.1.0.4", 24), ("2001:db8::4", 64))
    )
    assert found.default_devices == ("eth0",)
    assert found.sockets[0] == OwnSocket(
        protocol="tcp", process="vpnclient", pid=812, local="10.1.0.4", port=41000, peer="203.0.113.10", peer_port=443
    )
    assert [(each.process, each.port, each.peer) for each in found.sockets[1:]] == [
        ("sshd", 22, None), ("vpn server", 443, None),
    ]  # fmt: skip
    assert found.tuns == (TunHolder(device="vpn_vpn", pid=812, process="vpnclient"),)
    assert found.wireguard_ports == {"wg0": 51820}


def test_without_ip_the_kernels_own_files_say_it() -> None:
    found = parse_survey((HEAD + WITHOUT_IP).splitlines())
    own = {each.name: (each.kind, each.addresses) for each in found.interfaces}
    assert own == {
        "lo": ("loopback", ()),
        "eth0": ("ether", (("10.1.0.4", 24), ("2001:db8::4", 64))),
        "tun0": ("tun", (("10.8.0.6", 24),)),
        "wg0": ("wireguard", ()),
    }
    assert found.default_devices == ("eth0",)


def test_an_ss_that_cannot_do_what_is_asked_is_told_with_its_words() -> None:
    said = HEAD.replace("status 0", "ss: invalid option -- 'O'\nstatus 255")
    assert parse_survey(said.splitlines()).ss_complaint == "ss: invalid option -- 'O'"


@given(st.lists(st.sampled_from((HEAD + WITH_IP + WITHOUT_IP).splitlines()) | st.text(max_size=40), max_size=80))
def test_whatever_a_node_says_a_survey_comes_of_it_and_is_clean(lines: list[str]) -> None:
    found = parse_survey(lines)
    assert isinstance(found, NodeSurvey)
    for text in (
        found.user,
        found.host,
        found.system,
        *found.tools.values(),
        *(each.name for each in found.interfaces),
    ):
        assert text is None or text.isprintable()
