# For the scripts of tests/cli, which source it: counts what they check, in `passed` and `failed`.

report() {  # STATUS NAME
  if (($1 == 0)); then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "FAILED $2"
    sed 's/^/    /' out err 2>/dev/null | tail -n 12
  fi
}

# The command succeeds and its output holds the text (if one is given).
ok() {  # NAME TEXT COMMAND...
  local name=$1 text=$2
  shift 2
  "$@" >out 2>err
  local status=$?
  ((status == 0)) && { [[ -z $text ]] || grep -qF -- "$text" out err; }
  report $? "$name (status $status)"
}
# The command fails with one line on stderr that holds the text, and prints no result.
bad() {  # NAME TEXT COMMAND...
  local name=$1 text=$2
  shift 2
  "$@" >out 2>err
  local status=$?
  ((status != 0 && status < 126)) && (($(wc -l <err) == 1)) && grep -qF -- "$text" err
  report $? "$name (status $status)"
}
# The command ends with this exit status.
exits() {  # STATUS NAME COMMAND...
  local want=$1 name=$2
  shift 2
  "$@" >out 2>err
  local status=$?
  ((status == want))
  report $? "$name (status $status)"
}

skip() { echo "SKIPPED $1: $2"; skipped=$((skipped + 1)); }
