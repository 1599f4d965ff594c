# For the scripts of tests/cli, which source it: counts what they check, in `passed` and `failed`.

report() {  # STATUS NAME
  if (($1 == 0)); then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "FAILED $2"
    sed 's/^/    /' out err 2>/dev/null | tail -n 12
  fi
}
