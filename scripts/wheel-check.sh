#!/bin/sh
# Does the wheel hold everything that runs? Built and unpacked into a folder of its own, away from this checkout, with
# the dependencies of .venv: themes, probe and entry point have to be found in there.
set -eu
cd "$(dirname "$0")/.."
checkout=$PWD
python=$checkout/.venv/bin/python
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
CHECKOUT=$checkout "$work/venv/bin/python" - <<'END'
import os
from importlib.resources import files
from pathlib import Path

import meshtop

root = Path(str(files("meshtop")))
assert ".venv/lib" not in meshtop.__file__ and "/venv/" in meshtop.__file__, meshtop.__file__
checkout = Path(os.environ["CHECKOUT"])
shipped = {"meshtop": checkout / "meshtop", "meshtop/themes": checkout / "themes"}
for name, folder in shipped.items():
    for file in folder.rglob("*"):  # scripts, fonts, styles, scenarios, the demo's recording …
        if file.is_file() and "__pycache__" not in file.parts:
            assert (root.parent / name / file.relative_to(folder)).is_file(), f"{file} is not in the wheel"
END
"$work/venv/bin/meshtop" themes | grep -q "$work/venv/.*/okabe-dark.toml"
echo "the wheel is whole: $(basename "$work"/*.whl)"
