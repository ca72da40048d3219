#!/bin/sh
# Makes .venv with the interpreter given, once; says what to do if that cannot work.
set -eu
python=$1
[ -x .venv/bin/python ] && exit 0
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
    echo "Python 3.10 or later is needed; $python is $("$python" --version). Name another with: make PYTHON=..."
    exit 1
}
# Debian's interpreters come without venv and headers.
if ! "$python" -c 'import ensurepip, os, sysconfig, sys
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' 2>/dev/null; then
    "$(dirname "$0")"/system-packages.sh python3-venv python3-dev
fi
"$python" -m venv .venv
.venv/bin/python -m pip install -q --upgrade pip
