#!/usr/bin/env bash
# Every check, the same here and in CI. Stops at the first stage that fails.
#   bash tests/run.sh          everything
#   bash tests/run.sh fast     without the tests that start real servers and engines
set -eu

root=$(cd "$(dirname "$0")/.." && pwd -P)
cd "$root"

case ${1:-all} in
    all | fast) wanted=${1:-all} ;;
    *)
        echo "usage: bash tests/run.sh [fast]" >&2
        exit 2
        ;;
esac

summary=
began=$(date +%s)

finish() {
    status=$?
    printf '\n%s\n' "Stage          seconds"
    printf '%s' "$summary"
    printf '%-14s %7d\n' "all" "$(($(date +%s) - began))"
    if [ "$status" -eq 0 ]; then echo "All checks passed."; else echo "FAILED."; fi
    exit "$status"
}
trap finish EXIT

# stage NAME COMMAND...: run a command, note its time, leave at its failure.
stage() {
    name=$1
    shift
    printf '\n== %s\n' "$name"
    stage_began=$(date +%s)
    stage_status=0
    "$@" || stage_status=$?
    mark=
    [ "$stage_status" -eq 0 ] || mark="  FAILED"
    summary=$summary$(printf '%-14s %7d%s' "$name" "$(($(date +%s) - stage_began))" "$mark")'
'
    [ "$stage_status" -eq 0 ] || exit "$stage_status"
}

shell_scripts="start_servers.sh twinport .ci/run tests/run.sh deploy/*.sh"

stage set-up bash deploy/bootstrap.sh dev
stage format .venv/bin/python -m ruff format --check .
stage lint .venv/bin/python -m ruff check .
# shellcheck disable=SC2086 # a list of names and patterns, none with a space
stage shell .venv/bin/shellcheck $shell_scripts
stage dockerfiles .venv/bin/hadolint deploy/docker/main.Dockerfile deploy/docker/tools.Dockerfile
stage compose .venv/bin/python -m check_jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml
stage workflow .venv/bin/python -m check_jsonschema --builtin-schema vendor.github-workflows .github/workflows/ci.yml
stage types .venv/bin/python -m pyright
stage imports .venv/bin/python -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'
stage tests .venv/bin/python -m pytest -q -m "not slow" -n 2
[ "$wanted" = fast ] || stage slow-tests .venv/bin/python -m pytest -q -m slow
