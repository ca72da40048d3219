#!/bin/bash
# build.sh run|train|test
# Builds in build/release and installs the Python package into .venv, if any source is newer than what is
# installed. "train" adds the training tool, "test" also the C++ tests and benchmarks; each contains the one
# before, and what was once built stays built.
set -eu
flavour=$1
build=build/release
jobs=${JOBS:-$(nproc)}

newer() {
    find CMakeLists.txt pyproject.toml LICENSE README.md cmake models sampling openmmapi platforms serialization training \
        wrappers "${extra[@]}" -type f -newer "$1" -not -path '*/__pycache__/*' -not -path 'tests/data/*' \
        -not -path 'tests/python/*' | head -n 1
}
case $flavour in
    run) rank=1 options=() extra=() ;;
    train) rank=2 options=(-Ccmake.define.OPENMMSCORE_WITH_TORCH=ON) extra=() ;;
    test) rank=3 extra=(tests benchmarks)
          options=(-Ccmake.define.OPENMMSCORE_WITH_TORCH=ON -Ccmake.define.OPENMMSCORE_BUILD_TESTS=ON
                   -Ccmake.define.OPENMMSCORE_BUILD_BENCHMARKS=ON) ;;
    *) echo "build.sh: expected run, train or test, got $flavour" >&2; exit 2 ;;
esac

# One stamp for each flavour, which holds for the smaller ones too.
for stamp in $(seq "$rank" 3); do
    file=.venv/installed.$stamp
    if [ -f "$file" ] && [ -z "$(newer "$file")" ]; then
        exit 0
    fi
done

echo "Building OpenMM-Score in $build; the log is $build/build.log"
mkdir -p $build
started=$(mktemp)
if ! CMAKE_BUILD_PARALLEL_LEVEL=$jobs .venv/bin/python -m pip install --no-build-isolation --no-deps \
        --force-reinstall -v -Cbuild-dir=$build "${options[@]}" . >$build/build.log 2>&1; then
    grep -E -A3 'error|Error|FAILED' $build/build.log | head -40 || tail -40 $build/build.log
    echo "The build failed; $build/build.log has it all." >&2
    exit 1
fi
mv "$started" ".venv/installed.$rank"
