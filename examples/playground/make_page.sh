#!/usr/bin/env bash
# Makes the page: `make_page.sh HRM WASM FOLDER [SETTING...]`. HRM is the program, WASM the folder with
# hrm.js and hrm.wasm; FOLDER/index.html is the page. The models that it begins with are trained once
# and kept in FOLDER/models: NAME.safetensors, and NAME.puzzles, some puzzles that it has not seen. The
# settings change how they are trained.
set -eu
hrm=$1 wasm=$2 folder=$3
shift 3
others=("$@")
here=$(dirname "$0")
models=$folder/models
mkdir -p "$models"

# HRM as published, two cycles of two updates of L each and the one-step gradient, but small and with
# positions by row and column, by which it learns a board many times faster.
small=(puzzle_emb_ndim=0 puzzle_emb_len=0 H_layers=1 L_layers=1 pos_encodings=learned_and_rope rope=grid rope_theta=10
  lr=2e-3 ema=0.99)

model() {  # NAME SIDE SETTING...
  local name=$1 side=$2 work=$models/$1
  shift 2
  [[ -s $models/$name.safetensors ]] && return
  rm -rf "$work"
  "$hrm" data sudoku --side "$side" --count 10000 --test 500 --seed 1 --out "$work/data" >/dev/null
  "$hrm" train --preset sudoku4 --data "$work/data" --run "$work/run" --set "${small[@]}" "$@" ${others[@]+"${others[@]}"}
  "$hrm" data show "$work/data" --split test --count 12 |
    grep -xE "[.0-9]{$((side * side))}" | grep -F . >"$models/$name.puzzles"
  "$hrm" export "$work/run" --out "$models/$name.safetensors" >/dev/null
}

model sudoku4 4 hidden_size=64 total_steps=1000 eval_every=250 early_stop_accuracy=0.99
model sudoku6 6 hidden_size=96 halt_max_steps=8 total_steps=2000 eval_every=500
"${NODE:-node}" "$here/bundle.mjs" "$folder/index.html" "$wasm/hrm.js" "$wasm/hrm.wasm" \
  sudoku4 '4x4 Sudoku' "$models/sudoku4.safetensors" "$models/sudoku4.puzzles" \
  sudoku6 '6x6 Sudoku' "$models/sudoku6.safetensors" "$models/sudoku6.puzzles"
