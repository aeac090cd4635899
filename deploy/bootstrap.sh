#!/usr/bin/env bash
# Find a Python that Twinport runs on and let deploy/bootstrap.py make .venv what a lock file says.
#   bash deploy/bootstrap.sh runtime    what the servers need
#   bash deploy/bootstrap.sh dev        that, and what the checks need
# Runs on bash 3.2 (macOS), as root or not, from any folder. It starts nothing.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd -P)

# Prints nothing and succeeds if $1 is a Python 3.11 to 3.14 that can make virtual environments; 3: it lacks venv.
fits() {
    "$1" -I -S -c '
import sys
if not (3, 11) <= sys.version_info[:2] <= (3, 14):
    sys.exit(4)
try:
    import ensurepip, venv
except ImportError:
    sys.exit(3)
' </dev/null >/dev/null 2>&1
}

python=
without_venv=
too_old=

find_python() {
    python=
    without_venv=
    too_old=
    for candidate in "$root/.venv/bin/python" ${PYTHON:+"$PYTHON"} \
        python3.14 python3.13 python3.12 python3.11 python3 python; do
        command -v "$candidate" >/dev/null 2>&1 || continue
        verdict=0
        fits "$candidate" || verdict=$?
        case $verdict in
            0) python=$candidate; return 0 ;;
            3) without_venv=${without_venv:-$candidate} ;;
            4) too_old=${too_old:-"$candidate is $("$candidate" -c 'import sys; print(sys.version.split()[0])')"} ;;
        esac
    done
    return 1
}

may_install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1
}

# Debian splits venv off Python, under python3-venv for its own and python3.12-venv for others.
install_python() {
    packages="python3 python3-venv"
    case $without_venv in
        python3.*) packages="$without_venv-venv" ;;
    esac
    echo "Installing $packages ..."
    # shellcheck disable=SC2086 # two packages are two words
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends $packages; } \
        </dev/null >/dev/null 2>&1 || echo "apt-get could not install $packages." >&2
}

explain_missing_python() {
    if [ -n "$without_venv" ]; then
        echo "Python is here ($without_venv) but cannot make virtual environments: its venv module is missing."
        echo "  Debian, Ubuntu:  sudo apt-get install python3-venv"
    else
        echo "Twinport needs Python 3.11 to 3.14 and found none${too_old:+ ($too_old)}. Get one, then run the same command again:"
        echo "  Debian, Ubuntu:  sudo apt-get install python3 python3-venv"
        echo "  Fedora:          sudo dnf install python3.13"
        echo "  macOS:           brew install python@3.13"
        echo "  anywhere:        https://www.python.org/downloads/"
    fi
    echo "A Python that is not on PATH is used with:  PYTHON=/path/to/python3 bash start_servers.sh"
}

if ! find_python; then
    if may_install; then
        install_python
        find_python || true
    fi
    if [ -z "$python" ]; then
        explain_missing_python >&2
        exit 1
    fi
fi
exec "$python" -I -S "$root/deploy/bootstrap.py" ${1+"$@"}
