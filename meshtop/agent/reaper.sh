# One iperf3 on a node, and its end. POSIX sh (dash, bash, busybox ash), any user; writes nothing to the disk.
#
# It is handed over as the body of a function (meshtop/collect/reaped.py), which is called with iperf3's arguments; before
# that MT_ROLE, MT_LIMIT, MT_BIND, MT_PORTS and MT_PYTHON are set (the last only on the operator's own machine: what runs
# libiperf where there is no iperf3). MESHTOP_BURST is what agent/abort.sh knows its iperf3 by.
# Afterwards standard input holds "x" for an orderly end; its own end, with the session, ends everything too.
#
#   main (waits) ─┬─ timeout ─ iperf3
#                 └─ watch (reads standard input, then TERM, a second later KILL)
#
# Lines of its own begin with "#mt ".

LC_ALL=C
PATH=${PATH:-/usr/bin:/bin}:/usr/sbin:/sbin:/usr/local/bin
MESHTOP_BURST=$$
export LC_ALL PATH MESHTOP_BURST
cd /
exec 3<&0 </dev/null
printf '\n#mt begin\n'

command -v timeout >/dev/null 2>&1 || { printf '#mt missing timeout\n'; exit 1; }
version=
[ "$MT_PYTHON" ] && version=$("$MT_PYTHON" -m meshtop.collect.libiperf --version 2>/dev/null 3<&-)
if [ -z "$version" ]; then
  MT_PYTHON=
  command -v iperf3 >/dev/null 2>&1 || { printf '#mt missing iperf3\n'; exit 1; }
  version=$(iperf3 --version 2>&1 3<&-)
fi
version=${version%%"
"*}
printf '#mt tool %s\n' "$version"
minor=${version#iperf 3.}
minor=${minor%%[!0-9]*}
case $minor in
  '' | [0-6]) printf '#mt old\n'; exit 1 ;;
esac

if [ $MT_ROLE = server ]; then
  port=
  for each in $MT_PORTS; do
    [ "$(ss -tlnH "sport = :$each" 2>/dev/null)" ] && continue
    port=$each
    break
  done
  [ "$port" ] || { printf '#mt no-port\n'; exit 1; }
  printf '#mt port %s\n' $port
  set -- "$@" -p $port
  # Behind one-to-one NAT a node does not own the address that others dial.
  case $(ip -o addr 2>/dev/null) in
    *" $MT_BIND/"*) set -- "$@" -B "$MT_BIND" ;;
  esac
elif [ $minor -ge 17 ]; then
  set -- "$@" --json-stream
else
  set -- "$@" -J
fi

job=
watch=
# timeout leads a group of its own with iperf3 in it; BusyBox's becomes iperf3 instead.
finish() {
  kill -KILL -$job
  kill -KILL $job
  kill $watch
} 2>/dev/null
trap finish EXIT
trap '[ "$job" ] && kill -TERM $job 2>/dev/null' HUP INT TERM

if [ "$MT_PYTHON" ]; then
  timeout -s KILL $MT_LIMIT "$MT_PYTHON" -m meshtop.collect.libiperf "$@" </dev/null 3<&- &
else
  timeout -s KILL $MT_LIMIT iperf3 "$@" </dev/null 3<&- &
fi
job=$!
{
  trap - EXIT HUP INT TERM
  while read -r line; do
    [ "$line" = x ] && break
  done
  kill -TERM $job
  sleep 1 # it has its result to print
  kill -KILL -$job
  kill -KILL $job
} <&3 >/dev/null 2>&1 &
watch=$!
exec 3<&-
while :; do
  wait $job
  status=$?
  [ $status -gt 128 ] && kill -0 $job 2>/dev/null || break # else it was a signal to this shell that ended the wait
done
printf '\n#mt end %s\n' $status
