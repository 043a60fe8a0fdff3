#!/usr/bin/env bash
# Stands in for Python while a flow runs: a step goes to a fresh, empty folder that holds the code package alone, as a
# pod on a cluster does; everything else is Python.
set -euo pipefail
[[ " $* " == *" step "* ]] || exec "$REAL_PYTHON" "$@"
pod=$(mktemp -d "$PODS/XXXXXX")
cd "$pod"
tar -xzf "$CODE_PACKAGE"
for word in "$@"; do
    case $word in */flows/*.py) arguments+=("${word##*/}") ;; *) arguments+=("$word") ;; esac
done
export PYTHONPATH=$pod/.mf_code METAFLOW_EXTRACTED_ROOT=$pod
exec "$REAL_PYTHON" "${arguments[@]}"
