# shellcheck shell=bash
# The project's virtual environment. Sourced, in the root of the project, by demo.sh, check.sh and .ci/run.
#
# VENV    its folder; .venv unless set. One that is set and is there is used as it is.
# PYTHON  the Python it is made with; unless set, the first of 3.11 to 3.13 that is found.

VENV_IS_GIVEN=${VENV:+yes}
VENV=${VENV:-.venv}

say() {
    printf '%s\n' "$*" >&2
}

# Prints the Python to use.
find_python() {
    local candidate incomplete=""
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || continue
        if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
        incomplete=$candidate
    done
    if [ -n "$incomplete" ]; then
        say "error: $incomplete has no ensurepip, so it cannot make a virtual environment."
        say "On Debian and Ubuntu: apt install python3-venv. Or set PYTHON to another Python 3.11 to 3.13."
    else
        say "error: Python 3.11 to 3.13 is needed${PYTHON:+, and PYTHON=$PYTHON is none}: install it or set PYTHON to it."
    fi
    return 1
}

# Makes the environment with an extra of pyproject.toml, unless it is there: `embedded`, or `dev`, which holds it.
make_environment() {
    local extra=$1 python wanted
    if [ -n "$VENV_IS_GIVEN" ] && [ -x "$VENV/bin/python" ]; then
        return
    fi
    wanted="$PWD $(cksum <pyproject.toml)"
    if [ "$(cat "$VENV/.made-with-$extra" 2>/dev/null)" = "$wanted" ] ||
        [ "$(cat "$VENV/.made-with-dev" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    python=$(find_python)
    say "making $VENV with $("$python" --version) and installing what hj212gw needs: about a minute"
    "$python" -m venv --clear "$VENV"
    "$VENV/bin/python" -m pip install -qq --disable-pip-version-check --editable ".[$extra]"
    printf '%s\n' "$wanted" >"$VENV/.made-with-$extra"
}
