# The probe: what runs on a node while meshtop watches it. POSIX sh (dash, bash, busybox ash); reads, never writes.
#
# It comes line by line through standard input after a preamble that sets the MT_ variables (meshtop/agent/probe.py);
# from then on standard input holds control lines, and its end is the end of everything here.
#
#   top ─ main (reads control lines) ─┬─ ticker ─────────────────────────┐
#    │                                └─ keeper ─ pings, their taggers ──┤
#    └─ awk (writes frames) ◄──────────────── one pipe ──────────────────┘
#
# All times are in hundredths of a second of /proc/uptime.

LC_ALL=C
PATH=${PATH:-/usr/bin:/bin}:/usr/sbin:/sbin
export LC_ALL PATH
cd /
read -r _ _ _ _ group _ </proc/self/stat
own=
[ "$group" = $$ ] && own=1
# A process group of our own lets one signal reach every process of the probe, orphans too.
if [ -z "$own" ] && [ -z "$MT_REGROUPED" ] && command -v setsid >/dev/null 2>&1; then
  export MT_REGROUPED=1
  exec setsid /bin/sh -c "$s"
fi
top=$$
main=
ticker=
keeper=
ping=

die() {
  [ "$own" ] && kill -9 0
  kill -9 $ticker $keeper $main
  exit 1
}

# There, and no zombie.
alive() {
  read -r _ _ state _ 2>/dev/null </proc/"$1"/stat && [ "$state" != Z ]
}

own_pid() {
  read -r pid _ </proc/self/stat
}

# Uptime, as printed in $up, as a number in $now.
clock() {
  read -r up _ </proc/uptime
  now=$((${up%.*} * 100 + 1${up#*.} - 100))
}

# $1 in seconds, as $seconds: with a fraction only where $2 says that the command takes one, else rounded up.
in_seconds() {
  part=$(($1 % 100))
  seconds=$(($1 / 100))
  [ $part = 0 ] && return
  [ $part -lt 10 ] && part=0$part
  if [ "$2" ]; then seconds=$seconds.$part; else seconds=$((seconds + 1)); fi
}

snooze() {
  in_seconds "$1" "$sleep_fractions"
  sleep $seconds
}

# Its lines, and those of everyone but ss, begin with \001: ss writes in blocks of the size that a pipe keeps together,
# not in lines, and so a line of another may stand within one of its lines. awk puts them right.
run_ticker() {
  trap '' PIPE # a write that fails must be seen here, as it means that awk is gone
  trap 'leaving=1' TERM
  leaving=
  clock
  next=$now
  while [ -z "$leaving" ]; do
    if [ $now -ge $next ]; then
      printf '\001T %s %s\n' "$up" "$interval" || die
      status=
      if [ "$ss_flags" ]; then
        ss $ss_flags "$MT_FILTER" 2>/dev/null
        status=$?
      fi
      printf '\001E %s\n' "$status" || die
      next=$((next + interval))
      [ $next -le $now ] && next=$((now + interval - (now - next) % interval))
    else
      printf '\001\n' || die
    fi
    kill -0 $top && kill -0 $main || die
    clock
    left=$((next - now))
    [ $left -gt 200 ] && left=200
    if [ $left -gt 0 ]; then
      in_seconds $left "$sleep_fractions"
      # In the background, as a wait ends with a signal at once and a command does not.
      sleep $seconds &
      wait $!
    fi
    clock
  done
  kill $!
}

# $1, or where sleep knows whole seconds only the next of those.
set_interval() {
  interval=$1
  [ "$sleep_fractions" ] || interval=$((($1 + 99) / 100 * 100))
}

start_ticker() {
  run_ticker &
  ticker=$!
  printf '\001C ticker %s\n' $ticker
}

# By which name to call $1, as $tool. A shell of BusyBox takes its own tools for those that are installed, unless these are
# called by their whole names: its ping is woken by every ICMP packet of the node, its tc counts nothing.
locate() {
  tool=
  IFS=:
  for place in $PATH; do
    [ -z "$tool" ] && [ -f "$place/$1" ] && [ -x "$place/$1" ] && tool=$place/$1
  done
  unset IFS
  [ "$tool" ] && return
  command -v "$1" >/dev/null && tool=$1
}

learn_ping() {
  ping_flags=
  ping_fractions=
  ping_known=
  locate ping || return
  ping=$tool
  ping_known=1
  ping_first=0 # the number of its first probe; its own header comes with the first answer only
  case $("$ping" -V 2>&1) in
    *iputils*)
      ping_flags='-n -D'
      ping_fractions=1
      ping_first=1
      ;;
  esac
}

# $1 number, $2 target, $3 payload, $4 interval, $5 delay. Its lines go out tagged with the number. It ends by itself after
# ping_life, by a count: with a deadline (-w) the first ICMP error that a router sends would end iputils' ping.
run_ping() {
  in_seconds "$4" $ping_fractions
  count=$((ping_life * 100 / $4 + 1))
  {
    [ "$5" -gt 0 ] && (snooze "$5")
    own_pid
    printf '#run %s %s %s\n' "$pid" "$seconds" $ping_first
    exec "$ping" $ping_flags -i $seconds -s "$3" -c $count "$2"
  } 2>&1 </dev/null | {
    own_pid
    printf '\001P %s #tag %s\n' "$1" "$pid"
    while IFS= read -r line; do
      printf '\001P %s %s\n' "$1" "$line"
    done
    printf '\001P %s #end\n' "$1"
  } &
}

# Starts the pings, and those again that ended: at once after a long life, else after a while.
tend_pings() {
  for entry in $MT_PINGS; do
    IFS=/
    set -- $entry
    unset IFS
    eval "tagger=\$tagger_$1 since=\$since_$1"
    if [ "$tagger" ]; then
      kill -0 $tagger && continue
      [ $((now - since)) -lt $MT_RETRY ] && continue
      set -- "$1" "$2" "$3" "$4" 0
    fi
    run_ping "$@"
    eval "tagger_$1=$! since_$1=$now"
  done
}

# Two lines: BusyBox complains of the option first.
said_by() {
  command -v "$1" >/dev/null && "$@" 2>&1 </dev/null | {
    read -r line
    read -r more
    printf '%s\n' "$line $more"
  }
}

note() {
  [ "$2" ] && printf '\001N %s %s\n' "$1" "$2"
}

note_wall() {
  wall=$(date +%s.%N)
  case $wall in
    *[!0-9.]* | *.) wall=$(date +%s) ;;
  esac
  clock
  note wall "$wall $up"
}

# Which of the watched ports somebody listens on; nothing where ss could not tell.
listened_on() {
  { ss -tln "$MT_SERVICES" 2>/dev/null && echo told; } | $awk '
    $1 == "LISTEN" { n = split($4, part, ":"); found[part[n]] = 1 }
    $1 == "told" { printf "-"; for (port in found) printf " %s", port }'
}

note_what_it_is() {
  read -r line </proc/sys/kernel/osrelease && note kernel "$line"
  note uid "$(id -u)"
  note ss "$(said_by ss -V)"
  note iperf3 "$(said_by iperf3 --version)"
  note ping "$(said_by "$ping" -V)"
  note ssh "$SSH_CONNECTION"
  [ "$MT_SERVICES" ] && [ "$ss_flags" ] && note listening "$(listened_on)"
  command -v ip >/dev/null && note addresses "$(ip -o addr | head -n 100 | while read -r _ interface family address _; do
    case $family in
      inet*) printf '%s=%s ' "${interface%%@*}" "${address%%/*}" ;;
    esac
  done)"
}

# Queue disciplines with their counts: one on a device always, one below another only where it has dropped, as what is
# dropped below is counted above, too. Behind a "!" why there are none.
qdiscs() {
  locate tc || { printf '! tc: not found'; return; }
  "$tool" -s qdisc show </dev/null | $awk '
    function told(name) {
      if (name != "" && counts != "" && (top || dropped) && length(all) < 3000) all = all " " name counts rate
    }
    $1 == "qdisc" && $4 == "dev" {
      told(name); seen++; counts = ""; rate = ""
      name = $2 == "noqueue" ? "" : $5 "/" $2 "/" ($6 == "parent" ? $7 : $6)
      top = $6 == "root" || $7 == "ffff:fff1"
      for (i = 7; i < NF; i++) if ($i == "rate" || $i == "bandwidth") rate = " rate:" $(i + 1)
    }
    $1 == "Sent" && counts == "" {
      gsub(/[(),]/, " "); counted++; dropped = $7
      counts = " sent:" $4 " dropped:" $7 " over:" $9 " requeues:" $11
    }
    $1 == "backlog" && counts != "" && counts !~ /queued/ {
      size = $2 + 0; if ($2 ~ /K/) size *= 1024; if ($2 ~ /M/) size *= 1048576
      counts = counts sprintf(" backlog:%.0f queued:%d", size, $3)
    }
    END {
      told(name)
      if (!counted) print "! " (seen ? "this tc tells no counts" : "this tc does not tell")
      else print "- at:'"${up%.*}"'" all
    }'
}

run_beat() {
  note_wall
  note qdisc "$(qdiscs)"
  if [ "$1" ]; then
    [ "$ping_known" ] && printf '\001X ping\n' || printf '\001X ping ping: not found\n'
    note_what_it_is
  fi
}

# The only one that counts the lease. It never writes to the pipe itself: that may block when nobody reads our frames.
run_keeper() {
  trap 'unheard=0' USR1
  unheard=0
  beating=
  rarely=0
  often=0
  while :; do
    clock
    rare=
    [ $now -ge $rarely ] && rare=1
    [ "$rare" ] && learn_ping
    [ "$ping_known" ] && tend_pings
    if [ $now -ge $often ] && ! { [ "$beating" ] && kill -0 $beating; }; then
      run_beat $rare &
      beating=$!
      often=$((now + MT_BEAT))
      [ "$rare" ] && rarely=$((now + MT_RARE))
    fi
    snooze $MT_POLL
    unheard=$((unheard + MT_POLL))
    [ $unheard -ge $MT_LEASE ] && die
    alive $top && alive $main || die
  done
}

run_main() {
  own_pid
  main=$pid
  trap '' USR1 # until the keeper has its own trap
  run_keeper &
  keeper=$!
  printf '\001C top %s\n\001C main %s\n\001C keeper %s\n' $top $main $keeper
  printf '\001X ss %s\n' "$ss_problem"
  [ "$sleep_fractions" ] || printf '\001X sleep sleep: whole seconds only, so no interval under 1 s\n'
  start_ticker
  trap die HUP INT TERM
  while IFS= read -r line <&3; do
    case $line in
      k)
        alive $keeper && kill -USR1 $keeper || die
        alive $ticker || start_ticker
        ;;
      f) printf '\001F \n' ;;
      i\ *[!0-9]*) ;;
      i\ [1-9]*)
        set_interval "${line#i }"
        kill $ticker # it goes when ss has written its last line
        wait $ticker
        start_ticker
        ;;
    esac
  done
  die
}

sleep 0.01 2>/dev/null && sleep_fractions=1 || sleep_fractions=
set_interval "$MT_INTERVAL"
ping_life=3600
[ "$own" ] || ping_life=60
awk=
for name in mawk awk gawk 'busybox awk'; do
  $name 'BEGIN { exit 0 }' >/dev/null 2>&1 </dev/null && awk=$name && break
done
if [ -z "$awk" ]; then
  text='xawk=awk: not found'
  clock
  read -r boot </proc/sys/kernel/random/boot_id
  printf '@meshtop1 %s %s 1 %s 1 0 K %s\n%s\n@end\n' "$boot" "$MT_PROBE" "$up" $((${#text} + 1)) "$text"
  exit 1
fi
case $($awk -W version 2>/dev/null </dev/null) in
  mawk*) awk="$awk -W interactive" ;;
esac
MT_TICKS=$(getconf CLK_TCK 2>/dev/null)
MT_SS_OWNERS=
MT_ONE_LINE=
ss_flags=
ss_problem=
if [ -z "$MT_FILTER" ]; then
  :
elif ! command -v ss >/dev/null; then
  ss_problem='ss: not found'
else
  # Old ones know no -O (one line), still older no -H (no header).
  for ss_flags in -tinmoHO -tinmoH -tinmo; do
    ss $ss_flags "$MT_FILTER" >/dev/null 2>&1 && break
  done
  MT_SS_OWNERS="exec ss -tnpe \"$MT_FILTER\" 2>/dev/null"
  [ $ss_flags = -tinmoHO ] && MT_ONE_LINE=1
fi
export MT_TICKS MT_SS_OWNERS MT_ONE_LINE MT_PROBE MT_KEY MT_BEAT MT_MOST MT_PINGS

run_main 3<&0 </dev/null 2>/dev/null | exec $awk "$MT_AWK"
