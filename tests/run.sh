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

# python MODULE ARGUMENTS...: the programs of .venv by their modules, since their scripts cannot be run from a folder
# with a space in its name.
python() { .venv/bin/python -m "$@"; }

# -n logical: one worker for each core; more than four would only wait for the two whole servers.
tests() { python pytest -q -n logical --maxprocesses 4 "$@"; }

env_example() { ./twinport env-example | diff .env.example -; }

shell_scripts="start_servers.sh twinport .ci/run tests/run.sh deploy/*.sh"

if [ -e .env ]; then echo "Note: there is a .env, and the servers that the slow tests start read it."; fi

stage set-up bash deploy/bootstrap.sh dev
stage format python ruff format --check .
stage lint python ruff check .
# shellcheck disable=SC2086 # a list of names and patterns, none with a space
stage shell .venv/bin/shellcheck $shell_scripts
stage dockerfiles .venv/bin/hadolint deploy/docker/main.Dockerfile deploy/docker/tools.Dockerfile
stage compose python check_jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml
stage workflow python check_jsonschema --builtin-schema vendor.github-workflows .github/workflows/ci.yml
stage settings env_example
stage types python pyright
stage imports .venv/bin/python -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'
stage tests tests -m "not slow"
[ "$wanted" = fast ] || stage slow-tests tests -m slow
stage leftovers python tests.leftovers "$began"
