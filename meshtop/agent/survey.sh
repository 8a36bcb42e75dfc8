# The survey: what a node is and has, said once. POSIX sh (dash, bash, busybox ash), any user; writes nothing.
#
# The preamble (meshtop/agent/survey.py) sets MT_SIZES, the payloads of the pings to itself. Each part begins with
# "#mt NAME"; what follows is the words of the node's own tools. After "#mt clock" it waits for a line, so that the
# operator can tell how long the question took.

LC_ALL=C
PATH=${PATH:-/usr/bin:/bin}:/usr/sbin:/sbin:/usr/local/sbin:/usr/local/bin
export LC_ALL PATH
cd /

part() {
  printf '\n#mt %s\n' "$1"
}

has() {
  command -v "$1" >/dev/null 2>&1
}

printf '\n#mt begin\n'
part clock
read -r _
wall=$(date +%s.%N)
case $wall in
  *[!0-9.]* | *.) wall=$(date +%s) ;;
esac
part wall
printf '%s\n' "$wall"

part who
id -u
id -un
part kernel
cat /proc/sys/kernel/osrelease
part host
cat /proc/sys/kernel/hostname
part system
sed -n 's/^PRETTY_NAME=//p' /etc/os-release 2>/dev/null
part shell
printf '%s\n' "$SHELL"
part ssh
printf '%s\n' "$SSH_CONNECTION"

for tool in awk ss ping iperf3 timeout setsid ip date; do
  has $tool || continue
  part "tool $tool"
  case $tool in
    ss | ping) $tool -V 2>&1 </dev/null | head -n 2 ;;
    iperf3) $tool --version 2>&1 </dev/null | head -n 1 ;;
  esac
done

if has ss; then
  part ss-answers
  # What the probe asks for, about nothing: an ss that cannot do it says so.
  ss -tinmoeH 'sport = :0' 2>&1 >/dev/null </dev/null
  printf 'status %s\n' $?
fi

if has ping; then
  for size in $MT_SIZES; do
    part "ping $size"
    ping -n -c 1 -W 2 -s $size 127.0.0.1 2>&1 </dev/null | head -n 20
  done
fi

part listening
# State 0A is LISTEN (include/net/tcp_states.h); ports are hexadecimal.
awk '$4 == "0A" { n = split($2, at, ":"); print at[n] }' /proc/net/tcp /proc/net/tcp6 2>/dev/null | sort -u | head -n 2000

# BusyBox has an ip that knows no details: then as where there is none.
links=$(has ip && ip -d -o link 2>/dev/null | head -n 500)
if [ "$links" ]; then
  part link
  printf '%s\n' "$links"
  part addr
  ip -o addr 2>/dev/null | head -n 1000
  part route
  ip -o route show default 2>/dev/null | head -n 20
  ip -6 -o route show default 2>/dev/null | head -n 20
else
  part sysfs
  for each in /sys/class/net/*; do
    [ -r "$each/type" ] || continue
    flags=- devtype=- master=-
    [ -r "$each/tun_flags" ] && read -r flags <"$each/tun_flags"
    devtype=$(sed -n 's/^DEVTYPE=//p' "$each/uevent" 2>/dev/null)
    [ -e "$each/master" ] && master=$(readlink "$each/master") && master=${master##*/}
    printf '%s type=%s mtu=%s state=%s tun=%s devtype=%s master=%s\n' "${each##*/}" "$(cat "$each/type")" \
      "$(cat "$each/mtu")" "$(cat "$each/operstate")" "$flags" "${devtype:--}" "$master"
  done | head -n 500
  part local4
  awk '/32 host LOCAL/ { print last } { last = $2 }' /proc/net/fib_trie 2>/dev/null | sort -u | head -n 500
  part route4
  head -n 500 /proc/net/route
  part local6
  head -n 500 /proc/net/if_inet6 2>/dev/null
fi

if has ss; then
  part tcp
  ss -Htanp 2>/dev/null </dev/null | grep 'pid=' | head -n 2000
  part udp
  ss -Huanp 2>/dev/null </dev/null | grep 'pid=' | head -n 500
  part tun
  # Who holds a TUN or TAP device: the fdinfo of its descriptor says "iff: NAME" (drivers/net/tun.c). Only processes
  # with sockets are looked at, as a tunnel has some; and of this network namespace, as names are of one.
  own=$(readlink /proc/self/ns/net)
  ss -Htuanp 2>/dev/null </dev/null | grep -o 'pid=[0-9]*' | sort -u | head -n 300 | while IFS= read -r word; do
    pid=${word#pid=}
    [ "$(readlink "/proc/$pid/ns/net" 2>/dev/null)" = "$own" ] || continue
    grep -hs '^iff:' "/proc/$pid/fdinfo/"* | while read -r _ device; do
      read -r name <"/proc/$pid/comm"
      printf '%s %s %s\n' "$device" "$pid" "$name"
    done
  done | sort -u | head -n 100
fi
if has wg; then
  part wg
  wg show all listen-port 2>/dev/null | head -n 50
fi
printf '\n#mt end\n'
