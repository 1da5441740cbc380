#!/bin/sh
# Installs what the tests call beside Node: qemu-img, curl, wget, aria2c. Does nothing where they are
# there; where they cannot be installed, says so: the tests that need them then fail in CI and skip elsewhere.
set -u
missing=''
for pair in qemu-img:qemu-utils curl:curl wget:wget aria2c:aria2; do
  command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
[ -z "$missing" ] && exit 0
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
  echo "installing:$missing"
  export DEBIAN_FRONTEND=noninteractive
  # shellcheck disable=SC2086
  apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null && exit 0
fi
echo "not installed:$missing (install them for the whole suite)" >&2
exit 0
