#!/bin/sh
# Installs what the tests call beside Node: qemu-img, curl, wget, aria2c, python3, openssl, 7zz, compressors, readers of
# images that are not QEMU's; with arguments `command:package …` those instead. Does nothing where they are there; where they cannot be installed, says
# so: the tests that need them then fail in CI and skip elsewhere.
set -u
missing=''
if [ $# -eq 0 ]; then
  set -- qemu-img:qemu-utils curl:curl wget:wget aria2c:aria2 python3:python3 openssl:openssl 7zz:7zip \
    xz:xz-utils zstd:zstd bzip2:bzip2 xmllint:libxml2-utils xxhsum:xxhash
  # Modules of the system's own Python.
  /usr/bin/python3 -c 'import pyqcow, pyvhdi, pyvmdk' 2>/dev/null ||
    missing=' python3 python3-libqcow python3-libvhdi python3-libvmdk'
fi
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
