#!/usr/bin/env bash
# Installs Chromium, unless there is one. Exits with 2 where it can't: there is no apt-get.
set -eu
for name in chromium chromium-browser google-chrome; do
  if command -v "$name" >/dev/null; then
    exit 0
  fi
done
if ! command -v apt-get >/dev/null; then
  echo "There is no chromium, chromium-browser or google-chrome on PATH, and no apt-get to install one." >&2
  exit 2
fi
as_root=()
if [ "$(id -u)" != 0 ]; then
  as_root=(sudo)
fi
"${as_root[@]}" apt-get update
"${as_root[@]}" apt-get install -y --no-install-recommends chromium
