#!/usr/bin/env bash
# Every check, the same here and in CI. Stops at the first stage that fails.
#   bash tests/run.sh          everything but the next two
#   bash tests/run.sh fast     without the tests that start real servers, engines and sandboxes
#   bash tests/run.sh long     only the tests that take long: the same attacks again under other accounts, thousands of
#                              runs and questions, many kills
#   bash tests/run.sh training only what needs torch: types and tests of the bundled model's training and export. Makes
#                              .venv-training from its lock. On Linux that is the CUDA build of torch, some GB; any
#                              environment that holds the extras training, dev and mlx, with the much smaller CPU build
#                              of the same torch, does as well:  TRAINING_VENV=folder bash tests/run.sh training
set -eu

root=$(cd "$(dirname "$0")/.." && pwd -P)
cd "$root"

case ${1:-all} in
    all | fast | long | training) wanted=${1:-all} ;;
    *)
        echo "usage: bash tests/run.sh [fast | long | training]" >&2
        exit 2
        ;;
esac

summary=
began=$(date +%s)
beside_pid=
beside_said=

finish() {
    status=$?
    if [ -n "$beside_pid" ]; then kill -- "-$beside_pid" 2>/dev/null || true; fi
    rm -f "$beside_said"
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
    ended "$stage_status" "$(($(date +%s) - stage_began))"
}

# ended STATUS SECONDS: the line of $name in the table at the end.
ended() {
    mark=
    [ "$1" -eq 0 ] || mark="  FAILED"
    summary=$summary$(printf '%-14s %7d%s' "$name" "$2" "$mark")'
'
    [ "$1" -eq 0 ] || exit "$1"
}

# beside NAME COMMAND...: let a command run while the next stages do; one at a time, in a process group of its own.
beside() {
    beside_name=$1
    shift
    beside_began=$(date +%s)
    beside_said=$(mktemp)
    set -m
    "$@" >"$beside_said" 2>&1 &
    beside_pid=$!
    set +m
}

# joined: wait for it, show what it said, leave at its failure. Its seconds include those of the stages beside it.
joined() {
    [ -n "$beside_pid" ] || return 0
    name=$beside_name
    printf '\n== %s (beside the others)\n' "$name"
    beside_status=0
    wait "$beside_pid" || beside_status=$?
    beside_pid=
    cat "$beside_said"
    rm -f "$beside_said"
    ended "$beside_status" "$(($(date +%s) - beside_began))"
}

# python MODULE ARGUMENTS...: the programs of .venv by their modules, since their scripts cannot be run from a folder
# with a space in its name.
python() { .venv/bin/python -m "$@"; }

# tests WORKERS ARGUMENTS...: more than four would only wait for each other. The tests of the training are a run of
# their own, and torch would be imported to find them.
tests() {
    workers=$1
    shift
    python pytest -q -n "$workers" --maxprocesses 4 --ignore tests/bundled_model "$@"
}

env_example() { ./twinport env-example | diff .env.example -; }

shell_scripts="start_servers.sh twinport .ci/run tests/run.sh deploy/*.sh"

# training_environment: the lock is copied into the folder last, so one that was cut short is made anew.
training_environment() {
    [ -z "${TRAINING_VENV:-}" ] || return 0
    cmp -s deploy/locks/training.lock .venv-training/training.lock && return 0
    rm -rf .venv-training &&
        .venv/bin/python -m venv .venv-training &&
        .venv-training/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
            -r deploy/locks/training.lock &&
        cp deploy/locks/training.lock .venv-training/
}

# nanocoder: what its own tests run. 490 MB, hence in CI only; elsewhere those tests are skipped and say how to get it.
nanocoder() {
    if ! command -v npm >/dev/null 2>&1; then echo "Note: npm is missing, so the tests with the real nanocoder are skipped."; return 0; fi
    python tools_api.nanocoder.install .venv/nanocoder || echo "Note: the tests with the real nanocoder are skipped."
}

# The tests start some hundred Pythons, which would each compile what they import.
unset PYTHONDONTWRITEBYTECODE

if [ -e .env ]; then echo "Note: there is a .env, and the servers that the slow tests start read it."; fi

if [ "$wanted" = training ]; then
    stage set-up bash deploy/bootstrap.sh runtime
    stage torch training_environment
    training=${TRAINING_VENV:-.venv-training}/bin/python
    stage types "$training" -m pyright -p main_api/bundled_model/pyrightconfig.json --pythonpath "$training"
    stage tests "$training" -m pytest -q -m training tests/bundled_model
    exit
fi
stage set-up bash deploy/bootstrap.sh dev
cores=$(getconf _NPROCESSORS_ONLN)
# One more than cores: the slow tests also wait, for servers to start and for times to pass.
if [ "$wanted" = long ]; then
    stage nanocoder nanocoder
    stage long-tests tests "$((cores + 1))" -m long
    stage leftovers python tests.leftovers "$began"
    exit
fi
beside types python pyright
stage format python ruff format --check .
stage lint python ruff check .
# shellcheck disable=SC2086 # a list of names and patterns, none with a space
stage shell .venv/bin/shellcheck $shell_scripts
stage dockerfiles .venv/bin/hadolint deploy/docker/main.Dockerfile deploy/docker/tools.Dockerfile
stage compose python check_jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml
stage workflow python check_jsonschema --builtin-schema vendor.github-workflows .github/workflows/ci.yml
stage settings env_example
stage imports .venv/bin/python -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'
joined
if [ -n "${CI:-}" ] && [ "$wanted" = all ] && [ "$(uname)" = Linux ]; then beside nanocoder nanocoder; fi
stage tests tests "$cores" -m "not slow"
joined
[ "$wanted" = fast ] || stage slow-tests tests "$((cores + 1))" -m "slow and not long"
stage leftovers python tests.leftovers "$began"
