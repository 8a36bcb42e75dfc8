#!/bin/sh
# Does the wheel hold everything that runs? Built and unpacked into a folder of its own, away from this checkout, with
# the dependencies of .venv: themes, probe and entry point have to be found in there.
set -eu
cd "$(dirname "$0")/.."
python=$PWD/.venv/bin/python
work=$(mktemp -d "${TMPDIR:-/tmp}/meshtop-wheel.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$python" -m hatchling build -t wheel -d "$work" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
"$python" -m venv --without-pip "$work/venv"
"$python" -m pip --python "$work/venv/bin/python" install --quiet --disable-pip-version-check --no-deps --no-index "$work"/*.whl
# The dependencies, but not the editable meshtop, which a .pth file adds and a plain path entry does not.
site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cd "$work"
export PYTHONPATH="$site"
"$work/venv/bin/meshtop" --version >/dev/null
"$work/venv/bin/python" - <<'END'
from importlib.resources import files
from pathlib import Path

import meshtop

root = files("meshtop")
assert ".venv/lib" not in meshtop.__file__ and "/venv/" in meshtop.__file__, meshtop.__file__
assert (root / "py.typed").is_file()
for script in ("probe.sh", "probe.awk", "survey.sh", "ways.sh"):
    assert (root / "agent" / script).is_file(), script
themes = [file.name for file in (root / "themes").iterdir()]
assert {"okabe-dark.toml", "okabe-light.toml", "high-contrast.toml", "mono.toml", "miku.toml"} <= set(themes), themes
assert list(Path(str(root / "ui")).glob("*.tcss"))
END
"$work/venv/bin/meshtop" themes | grep -q "$work/venv/.*/okabe-dark.toml"
echo "the wheel is whole: $(basename "$work"/*.whl)"
