#!/usr/bin/env bash
# Makes the environment of the peers: a Python virtual environment under target/, with pinned versions.
# A peer that cannot be installed is named, and left out of the comparison.
#
#     benches/planner/make_env.sh [FOLDER]       (default: target/peers)
set -euo pipefail
cd "$(dirname "$0")"
env="${1:-../../target/peers}"

[ -x "$env/bin/python" ] || python3 -m venv "$env"
missing=()
# The pins in one call; where that fails, one by one, so that one missing peer does not cost the others.
if ! "$env/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt; then
    while read -r pin; do
        case "$pin" in '' | '#'*) continue ;; esac
        "$env/bin/pip" install --quiet --disable-pip-version-check "$pin" || missing+=("$pin")
    done <requirements.txt
fi
for pin in "${missing[@]}"; do
    echo "!! $pin COULD NOT BE INSTALLED: it is left out of the comparison" >&2
done
"$env/bin/python" peers.py --list
