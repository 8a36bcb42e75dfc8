# Pings on demand, for experiments. POSIX sh (dash, bash, busybox ash), any user; writes nothing to the disk.
#
# The preamble (meshtop/collect/pinged.py) sets MT_TARGET and MT_LIMIT. Afterwards standard input holds a line for each
# series, "COUNT SECONDS PAYLOAD WAIT MODE", MODE "df" for packets that must not be fragmented; its end, with the
# session, ends everything. Each ping ends by itself, too, for when this shell is killed.
#
# Lines of its own begin with "#mt ".

LC_ALL=C
PATH=${PATH:-/usr/bin:/bin}:/usr/sbin:/sbin
export LC_ALL PATH
cd /
printf '\n#mt begin\n'

command -v ping >/dev/null 2>&1 || { printf '#mt missing ping\n'; exit 1; }
kind=iputils
case $(ping -V 2>&1 </dev/null) in
  *BusyBox*) kind=busybox ;;
esac
printf '#mt ping %s\n' $kind

jobs=
dog=
main=$$
# What was started is $! at once; a signal may come before a variable of our own has it.
finish() {
  kill $jobs $dog $!
} 2>/dev/null
trap finish EXIT
trap 'exit 1' HUP INT TERM

(
  trap - EXIT HUP INT
  trap 'kill $!; exit' TERM
  sleep $MT_LIMIT &
  wait $!
  kill -KILL $main
) </dev/null >/dev/null 2>&1 &
dog=$!

# $1 number, then as above; the series' end is said when all that it printed is out.
series() {
  trap - EXIT HUP INT
  trap 'kill $! 2>/dev/null; exit' TERM
  if [ $6 = df ]; then
    set -- "$@" -M do
  fi
  number=$1 count=$2 seconds=$3 payload=$4 patience=$5
  shift 6
  # BusyBox knows whole seconds only.
  [ $kind = busybox ] && seconds=1
  ping -n -c $count -i $seconds -W $patience -s $payload "$@" $MT_TARGET 2>&1 &
  wait $!
  printf '\n#mt end %s\n' $number
}

number=0
while read -r count seconds payload patience mode; do
  number=$((number + 1))
  series $number $count $seconds $payload $patience $mode </dev/null &
  jobs="$jobs $!"
done
