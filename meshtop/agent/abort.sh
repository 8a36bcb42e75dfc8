# Ends every iperf3 that a burst of meshtop started in this network namespace, whichever meshtop that was, and says which.
# POSIX sh (dash, bash, busybox ash), any user; reads /proc/PID/cmdline, environ, comm and ns/net (proc(5)), writes nothing.
#
# A burst's reaper (reaper.sh) has its own words in its command line, and its iperf3 a variable in its environment. A
# reaper that gets TERM lets iperf3 print its result; what is still there two seconds later gets KILL.

LC_ALL=C
PATH=${PATH:-/usr/bin:/bin}:/usr/sbin:/sbin
export LC_ALL PATH
printf '\n#mt begin\n'
here=$(readlink /proc/self/ns/net)

# The brackets keep grep from finding itself. Only of this namespace: containers may share the process table.
ours() {
  {
    grep -l 'MESHTOP_BURST[=]' /proc/[0-9]*/environ
    grep -l ': meshtop-burs[t];' /proc/[0-9]*/cmdline
  } 2>/dev/null | while IFS=/ read -r _ _ pid _; do
    [ "$(readlink "/proc/$pid/ns/net" 2>/dev/null)" = "$here" ] && echo "$pid"
  done | sort -un
}

found=$(ours)
reapers=
for pid in $found; do
  read -r name 2>/dev/null <"/proc/$pid/comm" || continue
  case $name in
    iperf3) printf '#mt found %s %s\n' "$pid" "$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)" ;;
    timeout) ;;
    *) reapers="$reapers $pid" ;;
  esac
done
[ "$found" ] && kill -TERM ${reapers:-$found} 2>/dev/null
for pause in 1 1; do
  [ "$(ours)" ] || break
  sleep $pause
done
left=$(ours)
[ "$left" ] && kill -KILL $left 2>/dev/null
left=$(ours)
for pid in $left; do
  printf '#mt left %s\n' "$pid"
done
printf '#mt end\n'
