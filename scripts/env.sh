#!/bin/sh
# Make .venv ready: a Python that bytewax 0.21.1 has wheels for, with this package and its tools installed.
#
#   sh scripts/env.sh           set .venv up, or do nothing when it is ready for the present pyproject.toml
#   sh scripts/env.sh --run     the same without the tools of development: what running pipelines takes
#   sh scripts/env.sh --find    print the Python that would be used; exit 1 when there is none
#   sh scripts/env.sh --stamp   say that .venv, made by hand, is ready for the present pyproject.toml
#
# PYTHON=/path/to/python chooses the interpreter. Packages are installed with uv where there is one, else with pip.
# Nothing outside the checkout is changed: where no suitable Python is found, uv brings one into .uv/. Plain POSIX sh, for
# Debian's dash as well as macOS.

set -u
cd "$(dirname "$0")/.." || exit 1

VERSIONS="3.12 3.11 3.10"
STAMP=.venv/ready-for

say() {
    printf '%s\n' "$*" >&2
}

# suits PYTHON: whether it runs, and is a CPython 3.10 to 3.12. A pyenv shim may exist and still not run.
suits() {
    "$1" -c 'import sys; v = sys.version_info[:2]
sys.exit(not ((3, 10) <= v <= (3, 12) and sys.implementation.name == "cpython"))' >/dev/null 2>&1
}

# Every Python worth trying, one a line, the best first; some may not exist.
candidates() {
    if [ -n "${PYTHON:-}" ]; then
        printf '%s\n' "$PYTHON"
        return
    fi
    for version in $VERSIONS; do
        command -v "python$version"
    done
    command -v python3
    command -v python
    for version in $VERSIONS; do
        for python in \
            "${PYENV_ROOT:-${HOME:-/root}/.pyenv}"/versions/"$version".*/bin/python3 \
            "/usr/bin/python$version" \
            "/usr/local/bin/python$version" \
            "/opt/homebrew/bin/python$version" \
            "/Library/Frameworks/Python.framework/Versions/$version/bin/python3"; do
            [ -x "$python" ] && printf '%s\n' "$python"
        done
    done
    if command -v uv >/dev/null; then
        for version in $VERSIONS; do
            uv python find --no-project "$version" 2>/dev/null
        done
    fi
}

# The candidates that suit, one a line.
suitable() {
    candidates | while IFS= read -r python; do
        suits "$python" && printf '%s\n' "$python"
    done
}

ready_for() {
    cksum <pyproject.toml
    pwd -P
}

# The stamp: what .venv is ready for; a third line, "run", where the tools of development are not in it.
is_ready() {
    [ "$(sed 3d "$STAMP" 2>/dev/null)" = "$(ready_for)" ] && suits .venv/bin/python &&
        { [ "$1" = run ] || ! has_run_only; }
}

has_run_only() {
    [ "$(sed -n 3p "$STAMP" 2>/dev/null)" = run ]
}

# Print a uv that is here and runs.
present_uv() {
    for uv in uv "${HOME:-/root}/.local/bin/uv" "${HOME:-/root}/.cargo/bin/uv" .uv/tool/bin/uv; do
        "$uv" --version >/dev/null 2>&1 && printf '%s\n' "$uv" && return
    done
    return 1
}

# make_venv PYTHON: an empty .venv with pip. Debian keeps the part of venv that brings pip in a package of its own.
make_venv() {
    rm -rf .venv
    uv=$(present_uv) && "$uv" venv --quiet --no-project --seed --python "$1" .venv && suits .venv/bin/python && return
    rm -rf .venv
    "$1" -m venv .venv >/dev/null 2>&1 && .venv/bin/python -m pip --version >/dev/null 2>&1 && return
    rm -rf .venv
    "$1" -m virtualenv --quiet .venv >/dev/null 2>&1 && return
    rm -rf .venv
    "$1" -m venv --without-pip .venv >/dev/null 2>&1 &&
        "$1" -m pip --python .venv/bin/python install --quiet pip >/dev/null 2>&1 && return
    rm -rf .venv
    return 1
}

# Print a uv that runs: one that is here, or one installed into .uv/ by any Python that has pip.
find_uv() {
    present_uv && return
    for python in ${PYTHON:+"$PYTHON"} python3 python; do
        say "installing uv into .uv with $python, to get a Python that bytewax has wheels for"
        "$python" -m pip install --quiet --disable-pip-version-check --target .uv/tool uv >&2 ||
            { "$python" -m venv .uv/venv && .uv/venv/bin/python -m pip install --quiet --target .uv/tool uv; } >&2
        .uv/tool/bin/uv --version >/dev/null 2>&1 && printf '%s\n' .uv/tool/bin/uv && return
    done
    return 1
}

# make_venv_with_uv: .venv on a Python that uv finds or downloads into .uv/python.
make_venv_with_uv() {
    mkdir -p .uv && printf '*\n' >.uv/.gitignore
    uv=$(find_uv) || return 1
    for version in $VERSIONS; do
        rm -rf .venv
        UV_PYTHON_INSTALL_DIR="$PWD/.uv/python" \
            "$uv" venv --quiet --no-project --seed --python "$version" .venv && suits .venv/bin/python && return
    done
    rm -rf .venv
    return 1
}

no_python() {
    say "No Python 3.10, 3.11 or 3.12 could be set up (bytewax 0.21.1 has wheels for these only)."
    say "Install one, then repeat the command:"
    say "  Debian 12, Ubuntu   apt-get install python3 python3-venv"
    say "  Debian 13           apt-get install python3-venv python3-pip   (uv then brings Python 3.12 into .uv)"
    say "  macOS               brew install python@3.12"
    say "  anywhere            uv python install 3.12, or pyenv install 3.12"
    say "or name one: PYTHON=/path/to/python3.12 make test"
    exit 1
}

create() {
    found=$(suitable)
    if [ -n "${PYTHON:-}" ] && [ -z "$found" ]; then
        say "PYTHON=$PYTHON is no Python 3.10, 3.11 or 3.12 (bytewax 0.21.1 has wheels for these only)."
        exit 1
    fi
    while IFS= read -r python; do
        [ -n "$python" ] || continue
        say "setting up .venv with $("$python" --version) ($python)"
        make_venv "$python" && return
        say "  $python can make no virtual environment (on Debian: apt-get install python3-venv)"
    done <<END
$found
END
    make_venv_with_uv || no_python
}

# install run|all: the package, and its tools unless only running is meant.
install() {
    if [ "$1" = run ]; then
        say "installing the package into .venv"
        install_packages --no-compile -e .
    else
        say "installing the package and its tools into .venv"
        install_packages -e ".[dev]"
    fi || {
        say "Installing into .venv failed, see above. Without a way to PyPI, set PIP_INDEX_URL or PIP_FIND_LINKS."
        exit 1
    }
    { ready_for && { [ "$1" = all ] || echo run; }; } >"$STAMP"
}

# install_packages OPTION...: with uv, which takes seconds where pip takes half a minute; with pip where that fails.
install_packages() {
    if uv=$(present_uv); then
        UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-https://pypi.org/simple}}" \
            UV_FIND_LINKS="${UV_FIND_LINKS:-${PIP_FIND_LINKS:-}}" \
            "$uv" pip install --quiet --python .venv/bin/python --only-binary bytewax "$@" && return
        say "uv could not install it; trying pip"
    fi
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "pip>=22.3" &&
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --only-binary bytewax "$@"
}

case "${1:-}" in
--find)
    suitable | grep -m 1 .
    ;;
--stamp)
    suits .venv/bin/python || { say ".venv/bin/python is no Python 3.10, 3.11 or 3.12"; exit 1; }
    ready_for >"$STAMP"
    ;;
"" | --run)
    what=all
    [ "${1:-}" = --run ] && what=run
    is_ready "$what" && exit 0
    # The path of the checkout stands in every script of .venv: one that was moved or copied is made anew.
    if ! suits .venv/bin/python || [ "$(sed -n 2p "$STAMP" 2>/dev/null)" != "$(pwd -P)" ]; then
        create
    elif ! has_run_only; then
        what=all # it had the tools, and keeps them
    fi
    install "$what"
    ;;
*)
    say "usage: sh scripts/env.sh [--run | --find | --stamp]"
    exit 2
    ;;
esac
