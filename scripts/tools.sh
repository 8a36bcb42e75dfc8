#!/bin/sh
# usage: tools.sh demo|test
# Makes sure that the system tools for that are there: by apt when root, else it says what to type.
# Installs no more than that, and neither starts nor enables a service.
set -eu

say() {
    printf 'meshtop: %s\n' "$1" >&2
}

# Daemons live in sbin, which an ordinary user's PATH may lack.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

missing=
need() { # need COMMAND PACKAGE
    command -v "$1" >/dev/null 2>&1 || case " $missing " in *" $2 "*) ;; *) missing="$missing $2" ;; esac
}

need ss iproute2
need ip iproute2
need ping iputils-ping
need iperf3 iperf3
# The Python package iperf3 loads the library itself; Debian's tool brings it, a self-made one may not.
{ ldconfig -p 2>/dev/null || /sbin/ldconfig -p; } | grep -q 'libiperf\.so\.0' || missing="$missing libiperf0"
if [ "${1:-demo}" = test ]; then
    need sshd openssh-server
    need ssh openssh-client
    need dropbear dropbear-bin
    need busybox busybox-static
    need bash bash
    need mawk mawk
    need nginx nginx-light
    need tmux tmux
fi
missing=${missing# }
[ -n "$missing" ] || exit 0

command="apt-get install -y --no-install-recommends $missing"
if ! command -v apt-get >/dev/null 2>&1; then
    say "missing: $missing (names of Debian's packages); install them with this system's package manager"
    exit 1
fi
if [ "$(id -u)" != 0 ]; then
    say "missing: $missing; type: sudo $command"
    exit 1
fi

say "installing $missing …"
log=$(mktemp "${TMPDIR:-/tmp}/meshtop-tools.XXXXXX")
policy=/usr/sbin/policy-rc.d # asked by Debian's packages before they start a service; exit code 101 forbids it
ours=
clean_up() {
    rm -f "$log"
    [ -z "$ours" ] || rm -f "$policy"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
if [ ! -e "$policy" ]; then
    ours=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
install() {
    # shellcheck disable=SC2086  # the list is words
    $command >"$log" 2>&1 </dev/null
}
if ! install; then
    # Its lists of packages may be old or, in a fresh container, not there at all.
    { apt-get update && install; } >>"$log" 2>&1 </dev/null || {
        tail -n 15 "$log" >&2
        say "could not install $missing; type: apt-get update && $command"
        exit 1
    }
fi
case " $missing " in
*" openssh-server "*)
    # Only the program is wanted. Where systemd runs, the package has enabled its service for the next boot.
    [ ! -d /run/systemd/system ] || systemctl disable --quiet ssh.service ssh.socket >/dev/null 2>&1 || true
    ;;
esac
case " $missing " in
*" nginx-light "*)
    [ ! -d /run/systemd/system ] || systemctl disable --quiet nginx.service >/dev/null 2>&1 || true
    ;;
esac
