#!/usr/bin/env bash
# Fuzzes the readers of scenarios and waypoints with libFuzzer, one after the other. Needs clang.
#
# usage: ns3_scenarios/src/fuzz/fuzz.sh [SECONDS]
#   SECONDS   for each reader, 120 by default
#
# What was found to be new stays in build/fuzz/; what breaks a reader is written to the current directory. Inputs worth
# keeping go to seeds/, which the tests give to the program.
set -euo pipefail
source=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$source/../.." && pwd)/build
wheel=$build/ns3-sdk-3.44/ns3/lib64/cmake/ns3
[ -d "$wheel" ] || { echo "error: no ns-3 in $build; cure: mlb build" >&2; exit 1; }
cmake -S "$source" -B "$build/fuzz" -G Ninja -DFUZZ=ON -DCMAKE_CXX_COMPILER=clang++ -Dns3_DIR="$wheel" >/dev/null
ninja -C "$build/fuzz" scenario-fuzzer waypoints-fuzzer
for reader in scenario waypoints; do
  mkdir -p "$build/fuzz/$reader"
  dictionary="$source/fuzz/$reader.dict"
  "$build/fuzz/$reader-fuzzer" -max_total_time="${1:-120}" -max_len=20000 -timeout=10 -dict="$dictionary" \
    "$build/fuzz/$reader" "$source/fuzz/seeds/$reader"
done
