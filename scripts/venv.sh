#!/bin/sh
# The virtual environment in .venv: the locked dependencies, and meshtop itself as an editable install.
# Does nothing when it is there and neither requirements.lock nor pyproject.toml has changed since.
set -eu
cd "$(dirname "$0")/.."

fail() {
    printf 'meshtop: %s\n' "$1" >&2
    exit 1
}

usable() { # a Python of 3.11 or newer that can make virtual environments
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

stamp=.venv/meshtop-stamp
# The folder is part of it: scripts in a virtual environment name it in full, a moved one has to be made anew.
want=$({ cat requirements.lock pyproject.toml; pwd; } | cksum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && .venv/bin/python -c 'import meshtop' 2>/dev/null; then
    exit 0
fi

python=
for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
    if usable "$candidate"; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || fail "needs Python 3.11 or newer with venv; type: sudo apt-get install -y python3 python3-venv"

printf 'meshtop: setting up .venv, which takes a minute the first time …\n' >&2
log=$(mktemp "${TMPDIR:-/tmp}/meshtop-setup.XXXXXX")
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

quietly() { # run a command; what it says is shown only if it fails
    "$@" >"$log" 2>&1 </dev/null || {
        tail -n 25 "$log" >&2
        fail "failed: $*"
    }
}

# One that works and is of this folder is brought up to date in place, under whoever is using it.
if ! .venv/bin/meshtop --version >/dev/null 2>&1 || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    quietly "$python" -m venv --clear .venv
fi
quietly .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
quietly .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
printf '%s\n' "$want" >"$stamp"
