#!/usr/bin/env bash
# Makes build/kit.txz on a machine without a GPU, for one that has a GPU but neither packages nor a
# network: programs for its compute capability, the headers to build them there after all, recorded
# numbers. There: tar xf kit.txz, then KIT=$PWD/kit bash bench/gpu/report.sh
#
#   make gpu-kit                            for compute capabilities 8.0 and 9.0
#   bash bench/gpu/kit.sh [CAPABILITY...]   for others; 90 is an H100 or H200; any x86-64 with AVX2
set -eu
cd "$(dirname "$0")/../.."
kit=build/kit
reference=${REFERENCE_DIR:-../shared/reference}
make CUDA=1 CUDA_ARCHS="${*:-80 90}" ARCH=x86-64-v3 STATIC=fmt hrm devices parity gpu-bench
rm -rf $kit $kit.txz
mkdir -p $kit/bin $kit/include $kit/reference
for program in hrm tests/devices tests/parity bench/gpu; do
  strip -o "$kit/bin/${program##*/}" "build/cuda/$program"
done
for header in nlohmann CLI fmt doctest; do
  folder=$(for at in /usr/include /usr/local/include; do
    if [[ -d $at/$header ]]; then echo "$at/$header" && break; fi
  done)
  if [[ -z $folder ]]; then
    echo "kit: no headers of $header were found. HINT: make deps" >&2
    exit 1
  fi
  cp -rL "$folder" $kit/include/
done
for family in hrm_train hrm_eval trm_train; do
  if [[ -d $reference/$family ]]; then
    cp -rL "$reference/$family" $kit/reference/
  else
    echo "SKIPPED $family: no folder $reference/$family (set REFERENCE_DIR)"
  fi
done
chmod -R u+w $kit
tar cJf $kit.txz -C build kit
ls -l $kit.txz
