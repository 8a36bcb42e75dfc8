# Runs on the node: turns the lines of the ticker, the pings and the slow beat into frames (docs/frames.md).
# One process for the whole life of the probe: POSIX awk, tried with mawk, gawk and busybox awk. LC_ALL=C, so
# that length() counts bytes.

BEGIN {
  ss_owners = ENVIRON["MT_SS_OWNERS"]; one_line = ENVIRON["MT_ONE_LINE"]
  probe = ENVIRON["MT_PROBE"]; key_cs = ENVIRON["MT_KEY"]; slow_cs = ENVIRON["MT_BEAT"]
  most = ENVIRON["MT_MOST"]; clock_ticks = ENVIRON["MT_TICKS"] + 0
  if (clock_ticks <= 0) clock_ticks = 100
  boot = first_line("/proc/sys/kernel/random/boot_id")
  gsub(/[^0-9a-f-]/, "", boot); if (boot == "") boot = "-"
  for (i = 0; i < 25; i++) LETTER[i] = sprintf("%c", 97 + i)
  PID["awk"] = "self"
  SOURCE["m"] = "snmp"; SOURCE["t"] = "netstat"; SOURCE["d"] = "dev"; SOURCE["f"] = "softnet_stat"
  n = split(ENVIRON["MT_PINGS"], OLD, " ")
  for (i = 1; i <= n; i++) {
    split(OLD[i], NEW, "/")
    keep_row("g", NEW[1], NEW[2] " " NEW[3] " " NEW[4])
  }
  seq = 0; skipped = 0; strange = 0; pings = 0; slots = 0; live = 0; unnamed = 0; credit = 0.3; credited = 0; next_identify = 0; next_host = 0; hosted = 0; ticking = 0; held = ""; last_slow = -1; last_key = 0; force = 1
}

{
  # ss writes in blocks, not in lines; what others say may stand within one of its lines, and begins with \001.
  mark = index($0, "\001")
  if (mark == 0) {
    if (!ticking) next
    if (held != "") { $0 = held $0; held = "" }
    if (one_line) { lines++; socket($0) } else half_line($0)
    next
  }
  if (mark > 1 && ticking) held = held substr($0, 1, mark - 1)
  $0 = substr($0, mark + 1)
  if ($1 == "P") ping_line()
  else if ($1 == "T") begin_tick($2, $3)
  else if ($1 == "E") end_tick($2)
  else if ($1 == "N") keep_row("i", $2, rest(3))
  else if ($1 == "C") PID[$2] = $3
  else if ($1 == "X") problem($2, rest(3))
  else if ($1 == "F") force = 1
  else if ($0 != "") strange++
}

function rest(from,   i, text) {
  text = $from
  for (i = from + 1; i <= NF; i++) text = text " " $i
  return text
}

function first_line(path,   line) {
  line = ""
  getline line < path
  close(path)
  return line
}

function uptime(   line) {
  line = first_line("/proc/uptime")
  sub(/ .*/, "", line)
  return line
}

# ── The body under construction, in pieces: appending to one long string would copy it each time ──────────────────

function put(text) {
  text = text "\n"
  body_length += length(text)
  piece = piece text
  if (length(piece) > 8000) { PIECE[++pieces] = piece; piece = "" }
}

function emit(   i, head) {
  head = "@meshtop1 " boot " " probe " " seq " " now " " cs / 100 " " skipped " " (key ? "K" : "D") " " body_length "\n"
  if (pieces == 0) printf "%s", head piece "@end\n"
  else {
    printf "%s", head
    for (i = 1; i <= pieces; i++) { printf "%s", PIECE[i]; delete PIECE[i] }
    printf "%s", piece "@end\n"
  }
  fflush()
  pieces = 0; piece = ""; body_length = 0
}

# ── Rows: what the operator already has is in ROW, and only the difference goes out ────────────────────────────────

function send(table, id, text,   name, change) {
  name = table id
  if (name in ROW) {
    if (ROW[name] == text) return
    change = difference(ROW[name], text, table == "s")
    if (length(change) < length(text)) put(name " " change)
    else put(name "=" text)
  } else put(name "=" text)
  ROW[name] = text
}

# Rows that come outside of ticks; sent with the next frame.
function keep_row(table, id, text) {
  if (id !~ /^[0-9a-z_]+$/) { strange++; return }
  if (((table id) in KEPT) && KEPT[table id] == text) return
  KEPT[table id] = text
  STALE[table id] = 1
}

function drop_row(table, id) {
  if (!((table id) in KEPT)) return
  delete KEPT[table id]
  STALE[table id] = 1
}

function problem(source, text) {
  if (text == "") drop_row("x", source)
  else keep_row("x", source, text)
}

function send_kept(key,   name) {
  if (key) for (name in KEPT) STALE[name] = 1
  for (name in STALE) {
    if (name in KEPT) send(substr(name, 1, 1), substr(name, 2), KEPT[name])
    else if (name in ROW) { put(name "-"); delete ROW[name] }
    delete STALE[name]
  }
}

# The value of a word begins behind its first colon, or where it has none at its first digit; before it is its name.
# Letters skip words that stayed (a: none … y: 24, z: 25 and go on); then a number adds to the number at which the next
# word's value begins, ~ replaces that value, = the word, + puts one in before it, ! takes it out.
function difference(old, new, named,   n, m, i, d, from, out, o, c, p, q, k) {
  n = split(old, OLD, " "); m = split(new, NEW, " ")
  i = from = 1; d = 0; out = ""
  for (;;) {
    while (i <= n && (OLD[i] "") == NEW[i + d]) i++
    if (i > n && i + d > m) break
    for (; i - from > 24; from += 25) out = out "z"
    out = out LETTER[i - from]
    from = i
    if (i > n) { out = out "+" NEW[i + d++] " "; continue }
    if (i + d > m) { out = out "!"; from = ++i; d--; continue }
    o = OLD[i] ""; c = NEW[i + d] ""
    if ((p = index(o, ":")) && index(c, substr(o, 1, p)) == 1) {
      # A word of the same name, which most are.
      out = out value_change(substr(o, p + 1), substr(c, p + 1))
      from = ++i
      continue
    }
    if (p) p++; else p = match(o, /[0-9]/) ? RSTART : length(o) + 1
    q = index(c, ":"); if (q) q++; else q = match(c, /[0-9]/) ? RSTART : length(c) + 1
    if (p == q && substr(o, 1, p - 1) == substr(c, 1, p - 1)) {
      out = out value_change(substr(o, p), substr(c, p))
      from = ++i
    } else if (!named || i + d <= 3) {
      out = out "=" c " "
      from = ++i
    } else {
      k = named_ahead(substr(c, 1, q - 1), i + 1, n)
      if (k == 0) { out = out "+" c " "; d++; continue }
      for (out = out "!"; ++i < k; out = out "a!") d--
      d--
      from = i
    }
  }
  sub(/ $/, "", out)
  return out
}

function value_change(old, new,   width, d) {
  # Most are plain numbers, and small enough to be written as they were read. Both are strings, and so compared.
  if (int(new) "" == new && int(old) "" == old && new >= "0" && old >= "0") {
    d = new - old
  } else {
    match(new, /^[0-9]+/); width = RLENGTH
    match(old, /^[0-9]+/)
    if (width < 1 || width > 15 || RLENGTH < 1 || RLENGTH > 15 || substr(new, width + 1) != substr(old, RLENGTH + 1) \
        || (width > 1 && substr(new, 1, 1) == "0") || (RLENGTH > 1 && substr(old, 1, 1) == "0")) return "~" new " "
    d = substr(new, 1, width) - substr(old, 1, RLENGTH)
  }
  return d < 1000000000 && d > -1000000000 ? d "" : "~" new " "
}

function named_ahead(name, from, to,   k, o, p) {
  if (name == "") return 0
  if (to > from + 11) to = from + 11
  for (k = from; k <= to; k++) {
    o = OLD[k] ""
    p = index(o, ":"); if (p) p++; else p = match(o, /[0-9]/) ? RSTART : length(o) + 1
    if (substr(o, 1, p - 1) == name) return k
  }
  return 0
}

# ── Sockets ────────────────────────────────────────────────────────────────────────────────────────────────────────

# A line without what moves while nothing happens. Two lines are the same socket at rest when these are equal.
function at_rest(line,   m, s, p, head) {
  m = index(line, " skmem:"); s = index(line, " send "); p = index(line, " pacing_rate ")
  if (m > 0 && s > m && p > s) {
    head = substr(line, 1, m)
    gsub(/  +/, " ", head)
    if (index(head, "timer:(keepalive,")) sub(/keepalive,[^,]*,/, "keepalive,", head)
    # Padding at the end, as much as the longest line needs.
    line = head substr(line, m + 1, s - m) substr(line, p)
    if (p = index(line, "  ")) line = substr(line, 1, p)
    return line
  }
  gsub(/[ \t]+/, " ", line)
  sub(/ $/, "", line)
  gsub(/ last(snd|rcv|ack):[0-9]+/, "", line)
  if (index(line, "timer:(keepalive,")) sub(/keepalive,[^,]*,/, "keepalive,", line)
  return line
}

function socket(line,   still, name, slot, sent, at) {
  total++
  still = at_rest(line)
  slot = AT_REST[still]
  if (slot != "") {
    SEEN[slot] = seq
    if (!key) return
  } else {
    split(line, NEW, " ")
    name = NEW[4] " " NEW[5]
    sent = (at = index(line, " segs_out:")) ? substr(line, at + 10, 12) + 0 : 0
    # A counter that went back: closed, and the same ports opened again, between two ticks.
    if ((name in SLOT) && sent < SENT[SLOT[name]]) forget(SLOT[name])
    if (name in SLOT) {
      slot = SLOT[name]
      delete AT_REST[STILL[slot]]
    } else {
      if (live >= most) { over = 1; delete AT_REST[still]; return }
      slot = ++slots
      SLOT[name] = slot; NAME[slot] = name; live++; unknown++
    }
    AT_REST[still] = slot; STILL[slot] = still; SEEN[slot] = seq; SENT[slot] = sent
  }
  LINE[slot] = line
  changed[++changes] = slot
}

function send_socket(slot,   line, at, end, memory) {
  line = LINE[slot]
  delete LINE[slot]
  # What follows from cwnd, mss and rtt need not be sent.
  if (at = index(line, " send ")) {
    end = index(substr(line, at + 6), " ")
    line = substr(line, 1, at - 1) (end ? substr(line, at + 5 + end) : "")
  }
  # Of these nine numbers seldom more than two change: they are words of their own.
  if (at = index(line, " skmem:")) {
    end = index(substr(line, at), ")")
    memory = substr(line, at, end)
    gsub(/,/, " ,", memory)
    line = substr(line, 1, at - 1) memory substr(line, at + end)
  }
  send("s", slot, line DETAILS[slot])
}

function begin_sockets() {
  total = 0; over = 0; changes = 0; unknown = 0; lines = 0; joined = ""
}

# Two lines a socket, and from a very old ss a header.
function half_line(line) {
  lines++
  if (line ~ /^[ \t]/) { joined = joined line; return }
  if (joined != "" && substr(joined, 1, 6) != "State ") socket(joined)
  joined = line
}

function end_sockets(status,   slot, i) {
  if (joined != "" && substr(joined, 1, 6) != "State ") socket(joined)
  if (status != 0 && lines == 0) {
    problem("ss", "ss ended with status " status)
    return
  }
  problem("ss", over ? total " sockets match, the first " most " are followed" : "")
  for (slot in SEEN) if (SEEN[slot] != seq) forget(slot)
  identify()
  for (i = 1; i <= changes; i++) if (changed[i] in LINE) send_socket(changed[i])
  put("S" total)
}

function forget(slot) {
  delete SLOT[NAME[slot]]; delete NAME[slot]; delete AT_REST[STILL[slot]]; delete STILL[slot]; delete SEEN[slot]
  delete SENT[slot]; delete LINE[slot]; delete DETAILS[slot]
  if (("s" slot) in ROW) { put("s" slot "-"); delete ROW["s" slot] }
  live--
}

# Inode, cookie, cgroup and owner of each socket. To name the cgroups ss walks through all of them, and to name the
# owners through all of /proc, which on a node with many is far dearer than all else that we do: so this happens
# when there are new sockets, and for as much time as has been saved up.
function identify(   line, name, text, slot, id, before) {
  credit += (now - credited) * 0.003; credited = now
  if (credit > 0.3) credit = 0.3
  unnamed += unknown
  if (credit <= 0 || (unnamed == 0 && now < next_identify)) return
  before = now; unnamed = 0
  next_identify = now + 60
  for (id in OWNED) OWNED[id] = 0
  while ((ss_owners | getline line) > 0) {
    if (!match(line, / (uid:[0-9]+ )?ino:[0-9]+ sk:[0-9a-f]+/)) continue
    text = substr(line, RSTART)
    line = substr(line, 1, RSTART - 1)
    split(line, NEW, " ")
    name = NEW[4] " " NEW[5]
    if (!(name in SLOT)) continue
    slot = SLOT[name]
    if (DETAILS[slot] != text) {
      DETAILS[slot] = text
      if (!(slot in LINE)) DETAILED[slot] = 1
    }
    match(text, / ino:[0-9]+/)
    id = substr(text, RSTART + 5, RLENGTH - 5)
    # Not yet accepted; it will have one soon.
    if (id == "0") { if (substr(line, 1, 5) == "ESTAB") next_identify = now + 10; continue }
    name = index(line, " users:(")
    if (name == 0 || length(line) - name > 900) continue
    OWNED[id] = 1
    keep_row("q", id, substr(line, name) " ino:" id " sk:")
  }
  close(ss_owners)
  for (id in OWNED) if (!OWNED[id]) { drop_row("q", id); delete OWNED[id] }
  keep_row("i", "processes", "1")
  # Those that did not change otherwise: what was sent of them, with the new details.
  for (slot in DETAILED) {
    delete DETAILED[slot]
    line = ROW["s" slot]
    sub(/ (uid:[0-9]+ )?ino:[0-9]+ sk:.*/, "", line)
    send("s", slot, line DETAILS[slot])
  }
  before = uptime() - before
  credit -= before > 0.005 ? before : 0.005
}

# ── Counters and pings ─────────────────────────────────────────────────────────────────────────────────────

function counters(table, path, lazy,   line, n) {
  n = 0
  while ((getline line < path) > 0) {
    n++
    # Packets that a CPU took in are not worth the wire at every tick, drops and squeezes are.
    if (lazy && ((table n) in ROW) && substr(line, 10, 17) == substr(ROW[table n], 10, 17)) continue
    send(table, n, line)
  }
  close(path)
  if (n == 0) problem(SOURCE[table], path " cannot be read")
  else problem(SOURCE[table], "")
  for (; ROWS[table] > n; ROWS[table]--) {
    put(table ROWS[table] "-")
    delete ROW[table ROWS[table]]
  }
  ROWS[table] = n
}

function ping_line(   now) {
  if ($3 == "#tag") { PID["tag" $2] = $4; return }
  if ($3 == "#run") PID["ping" $2] = $4
  if ($3 == "#end") { delete PID["ping" $2]; delete PID["tag" $2] }
  if ($2 !~ /^[0-9]+$/) { strange++; return }
  now = uptime(); sub(/\./, "", now)
  PING[++pings] = $2
  PING_TEXT[pings] = now " " rest(3)
}

function send_pings(   i, name, text, change) {
  for (i = 1; i <= pings; i++) {
    name = "p" PING[i]; text = PING_TEXT[i]
    change = name in ROW ? difference(ROW[name], text, 0) : text
    put(name (name in ROW && length(change) < length(text) ? " " change : "=" text))
    ROW[name] = text
    delete PING[i]; delete PING_TEXT[i]
  }
  pings = 0
}

function cpu_seconds(   name, path, line, sum) {
  sum = 0
  for (name in PID) {
    path = "/proc/" PID[name] "/stat"
    line = first_line(path)
    if (line == "") continue
    sub(/.*\) /, "", line)
    split(line, NEW, " ")
    sum += NEW[12] + NEW[13] + NEW[14] + NEW[15]
  }
  return sum / clock_ticks
}

# Of all CPUs, and of the one that is highest, in thousandths of the time since it was last asked. A guest's time is in
# user's already; old kernels lack the last columns.
function host_cpu(   line, n, i, busy, cores, text, most, most_softirq) {
  while ((getline line < "/proc/stat") > 0 && substr(line, 1, 3) == "cpu") {
    n = split(line, NEW, " ")
    for (i = 2; i <= 9; i++) SHARE[i] = i <= n ? NEW[i] - HAD[NEW[1], i] : 0
    for (i = 2; i <= 9; i++) { HAD[NEW[1], i] = NEW[i]; if (SHARE[i] < 0) SHARE[i] = 0 }
    SHARE["all"] = SHARE[2] + SHARE[3] + SHARE[4] + SHARE[5] + SHARE[6] + SHARE[7] + SHARE[8] + SHARE[9]
    busy = share(SHARE[2] + SHARE[3] + SHARE[4] + SHARE[7] + SHARE[8])
    if (NEW[1] == "cpu") {
      text = " busy:" busy
      if (n > 5) text = text " iowait:" share(SHARE[6])
      if (n > 7) text = text " softirq:" share(SHARE[8])
      if (n > 8) text = text " steal:" share(SHARE[9])
    } else {
      cores++
      if (busy > most) most = busy
      if (share(SHARE[8]) > most_softirq) most_softirq = share(SHARE[8])
    }
  }
  close("/proc/stat")
  if (cores && hosted++) {
    text = "at:" int(now) " cores:" cores text " core:" most + 0
    if (n > 7 || most_softirq) text = text " core_softirq:" most_softirq + 0
    keep_row("i", "host", text cpu_wait())
  } else cpu_wait()
  next_host = now + (hosted > 1 ? slow_cs / 100 : 2)
}

# How long this process waited for a CPU each time that it wanted one, in microseconds, since it was last asked.
function cpu_wait(   n, waited, turns) {
  n = split(first_line("/proc/self/schedstat"), NEW, " ")
  if (n < 3) return ""
  waited = NEW[2] - had_waited; turns = NEW[3] - had_turns
  had_waited = NEW[2]; had_turns = NEW[3]
  return turns > 0 && waited >= 0 ? " wait:" int(waited / turns / 1000 + 0.5) : ""
}

function share(ticks) {
  return SHARE["all"] > 0 ? int(1000 * ticks / SHARE["all"] + 0.5) : 0
}

# ── The tick ───────────────────────────────────────────────────────────────────────────────────────────────────────

function begin_tick(asked, interval,   name) {
  now = uptime(); cs = interval
  # A tick that had to wait, as while nobody reads our output, is no longer true.
  ticking = (now - asked) * 100 <= cs
  if (!ticking) { skipped++; return }
  now = asked
  seq++
  key = force || (now - last_key) * 100 >= key_cs
  if (key) { force = 0; last_key = now; for (name in ROW) delete ROW[name] }
  held = ""
  begin_sockets()
}

function end_tick(status,   slow) {
  if (!ticking) return
  ticking = 0
  slow = key || (now - last_slow) * 100 >= slow_cs
  if (slow) { last_slow = now; keep_row("i", "cpu", sprintf("%.2f", cpu_seconds())) }
  if (status != "") end_sockets(status)
  counters("m", "/proc/net/snmp", 0)
  counters("t", "/proc/net/netstat", 0)
  counters("d", "/proc/net/dev", 0)
  counters("f", "/proc/net/softnet_stat", !slow)
  send_kept(key)
  send_pings()
  if (strange) put("U" strange)
  emit()
  strange = 0; skipped = 0
  if (now >= next_host) host_cpu()
}
