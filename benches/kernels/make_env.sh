#!/usr/bin/env bash
# Makes the environment of the frameworks: a Python virtual environment under target/. What cannot be installed is named, and left out.
#
#     benches/kernels/make_env.sh [FOLDER]       (default: target/frameworks)
set -euo pipefail
cd "$(dirname "$0")"
env="${1:-../../target/frameworks}"

[ -x "$env/bin/python" ] || python3 -m venv "$env"
while read -r package; do
    case "$package" in '' | '#'*) continue ;; esac
    "$env/bin/pip" install --quiet --disable-pip-version-check "$package" ||
        echo "!! $package COULD NOT BE INSTALLED: it is left out of the comparison" >&2
done <requirements.txt
"$env/bin/pip" freeze
