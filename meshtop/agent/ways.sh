# Trying the ways from a node to others: pings of two sizes, the path MTU, TCP connections. POSIX sh (dash, bash,
# busybox ash), any user; writes nothing.
#
# The preamble (meshtop/agent/survey.py) sets MT_WAYS, "number/address/pmtu/port,port" apart by blanks, MT_SIZES,
# MT_PINGS, MT_ANSWER (seconds) and MT_PAUSES (between tries that are refused). Each line that counts is "#mt NUMBER KIND WORDS"; all ways are tried at once.

LC_ALL=C
PATH=${PATH:-/usr/bin:/bin}:/usr/sbin:/sbin:/usr/local/bin
export LC_ALL PATH
cd /
exec 3<&0 </dev/null
printf '\n#mt begin\n'

has() {
  command -v "$1" >/dev/null 2>&1
}

# An ordinary user may ping every 0.2 s and no faster; BusyBox knows whole seconds.
ping_flags='-n'
fragments=
case $(ping -V 2>&1) in
  *iputils*)
    ping_flags='-n -i 0.3'
    fragments=1
    ;;
esac

# $1 number, $2 kind; lines of a tool, each in one write so that those of others do not come between.
say_lines() {
  while IFS= read -r line; do
    printf '#mt %s %s %s\n' "$1" "$2" "$line"
  done
}

run_pings() {
  ping $ping_flags -c $MT_PINGS -W $MT_ANSWER -s "$3" "$2" 2>&1 | say_lines "$1" "ping$3"
}

# Does a packet of $2 bytes pass to $1 whole? Its words are in $said. Of three, two may be lost.
passes() {
  case $1 in
    *:*) payload=$(($2 - 48)) ;;
    *) payload=$(($2 - 28)) ;;
  esac
  said=$(ping -n -M do -c 3 -i 0.2 -W 1 -s $payload "$1" 2>&1)
}

# The MTU that the last words spoke of, in $told: "Frag needed and DF set (mtu = 1300)", "message too long, mtu=1300",
# over IPv6 "Packet too big: mtu=1300" and "message too long, mtu: 1300".
told_mtu() {
  told=${said##*mtu[ =:]}
  [ "$told" = "$said" ] && told=
  told=${told#[ =]}
  told=${told#[ =]}
  told=${told%%[!0-9]*}
}

# Between $low, which passes, and $high, which does not. What links and tunnels usually have comes first.
search_mtu() {
  for guess in 1400 1300 1280 1340 1360 1380 1412 1420 1440 1450 1460 1472 1480 1492 1500; do
    [ $guess -gt $low ] && [ $guess -lt $high ] || continue
    if passes "$1" $guess; then low=$guess; else high=$guess; fi
  done
  [ $((high - low)) -gt 1 ] && if passes "$1" $((low + 1)); then low=$((low + 1)); else return; fi
  while [ $((high - low)) -gt 1 ]; do
    middle=$(((low + high) / 2))
    if passes "$1" $middle; then low=$middle; else high=$middle; fi
  done
}

find_mtu() {
  [ "$fragments" ] || return
  device=$(ip -o route get "$2" 2>/dev/null)
  device=${device##* dev }
  device=${device%% *}
  read -r top 2>/dev/null <"/sys/class/net/$device/mtu" || return
  [ "$top" -gt 9200 ] && top=9200
  if passes "$2" $top; then
    printf '#mt %s mtu %s %s open %s\n' "$1" $top $top "$device"
    return
  fi
  told_mtu
  if [ "$told" ] && [ $told -lt $top ] && passes "$2" $told; then
    printf '#mt %s mtu %s %s told %s\n' "$1" $told $top "$device"
    return
  fi
  # 576: what every IPv4 host takes (RFC 1122); 1280: the least that IPv6 has.
  low=576
  case $2 in *:*) low=1280 ;; esac
  passes "$2" $low || return
  high=$top
  search_mtu "$2"
  printf '#mt %s mtu %s %s silent %s\n' "$1" $low $top "$device"
}

# $1 number, $2 address, $3 port. A server that begins to listen anew after each visitor refuses or resets for a moment.
# Silence counts when it is met twice: by chance all SYNs may be lost, or a busy machine begin too late to send one.
connect() {
  silent=
  for pause in $MT_PAUSES 0; do
    try_connect "$2" "$3"
    case $status:$said in
      [1-9]*:*refused* | [1-9]*:*reset*) sleep $pause ;;
      124:* | [1-9]*:*timed?out*) [ "$silent" ] && break || silent=1 ;;
      *) break ;;
    esac
  done
  case $status:$said in
    -:*) word=nothing ;;
    0:*) word=open ;;
    *refused* | *reset*) word=refused ;;
    *"No route"* | *nreachable*) word=no-route ;;
    *prohibited* | *denied* | *permitted*) word=prohibited ;;
    *) word=silent ;;
  esac
  printf '#mt %s tcp %s %s\n' "$1" "$3" $word
}

# The first tool that is there. A status of "-": none is.
try_connect() {
  if has bash && has timeout; then
    said=$(timeout $MT_ANSWER bash -c "exec 3<>/dev/tcp/$1/$2" 2>&1)
  elif has python3; then
    said=$(python3 -c "import socket; socket.create_connection(('$1', $2), $MT_ANSWER)" 2>&1)
  elif has nc; then
    said=$(nc -z -v -w $MT_ANSWER "$1" "$2" 2>&1)
  else
    status=- said=
    return
  fi
  status=$?
}

try_way() {
  if has ping; then
    small=
    for size in $MT_SIZES; do
      run_pings "$1" "$2" $size &
      small=${small:-$size}
    done
    [ "$3" = 1 ] && find_mtu "$1" "$2"
  else
    printf '#mt %s no-ping\n' "$1"
  fi
  wait
}

trap 'kill 0' HUP INT TERM
for entry in $MT_WAYS; do
  IFS=/
  set -- $entry
  unset IFS
  try_way "$1" "$2" "$3" 3<&- &
  for port in $(printf '%s' "$4" | tr , ' '); do
    connect "$1" "$2" "$port" 3<&- &
  done
done
wait
printf '\n#mt end\n'
