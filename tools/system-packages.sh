#!/bin/sh
# Makes sure that the Debian packages named on the command line are there: installs what is missing when it
# may (root on Debian or Ubuntu, after saying so), else prints the one line that does.
set -eu
missing=""
for package in "$@"; do
    if command -v dpkg-query >/dev/null 2>&1; then
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing="$missing $package"
    fi
done
if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "This is neither Debian nor Ubuntu; make sure that the equivalents of these packages are installed: $*"
    exit 0
fi
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ]; then
    echo "Installing the system packages that are missing:$missing"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "Some system packages are missing. Install them with this line, then run make again:"
    echo "    sudo apt-get install$missing"
    exit 1
fi
