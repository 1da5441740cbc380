#!/bin/sh
# Installs what the tests call beside Node: qemu-img, curl, wget, aria2c, python3, openssl, 7zz; with arguments
# `command:package …` those instead. Does nothing where they are there; where they cannot be installed, says
# so: the tests that need them then fail in CI and skip elsewhere.
set -u
[ $# -gt 0 ] || set -- qemu-img:qemu-utils curl:curl wget:wget aria2c:aria2 python3:python3 openssl:openssl 7zz:7zip
missing=''
for pair in "$@"; do
  command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
[ -z "$missing" ] && exit 0
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
  echo "installing:$missing"
  # RUNLEVEL=1: a package that is a service is installed, not started.
  export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
  # shellcheck disable=SC2086
  apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null && exit 0
fi
echo "not installed:$missing (install them for the whole suite)" >&2
exit 0
