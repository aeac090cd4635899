#!/usr/bin/env bash
# Set Twinport up if need be, start both servers and stop them on Ctrl-C. All the work is done by
# deploy/bootstrap.sh (set-up) and `twinport serve` (the servers).
set -eu

root=$(cd "$(dirname "$0")" && pwd -P)

for argument in ${1+"$@"}; do
    case $argument in
        -h | --help)
            cat <<'HELP'
Usage: bash start_servers.sh [options]

Sets up .venv on the first start, then runs the tools API and the main API until Ctrl-C.

  --port N         port of the main API (MAIN_API_PORT, 10007)
  --tools-port N   port of the tools API (TOOLS_PORT, 10006)
  --host ADDRESS   address that the servers listen on (HOST, 127.0.0.1; 0.0.0.0: all interfaces)
  --data-dir PATH  everything written at run time lives there (DATA_DIR, data)
  --tools-only     only the tools API, for a host of its own
  --main-only      only the main API; TOOLS_HOST says where the tools API is (a host name or a URL)
  --help           this text

Every other setting comes from the environment or from .env; .env.example has them all.
HELP
            exit 0
            ;;
    esac
done

bash "$root/deploy/bootstrap.sh" runtime
exec "$root/twinport" serve ${1+"$@"}
