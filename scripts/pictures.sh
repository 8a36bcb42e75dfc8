#!/bin/sh
# usage: pictures.sh
# Draws the pictures of the README anew, from docs/pictures/miku.mtr: 110 s of the lab's scenario `miku`, with a burst from e to a
# over both paths, recorded by `meshtop demo --record`. Needs neither root nor a terminal nor fonts.
set -eu
cd "$(dirname "$0")/.."

draw() { # draw NAME VIEW
    env -u NO_COLOR .venv/bin/meshtop snapshot --from docs/pictures/miku.mtr --view "$2" --size 120x40 --png "docs/pictures/$1.png"
    rm "docs/pictures/$1.txt"
}

draw overview overview
draw link link:e:a
draw diagnosis diagnosis
draw bursts burst
draw stalls stalls
draw node node:a
