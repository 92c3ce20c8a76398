# What the scripts in tools/ share.  Source it after `set -euo pipefail`.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
deps=$(realpath -m "${MILLRACE_DEPS:-$root/build/deps}")
me=${0##*/}

say() { echo "$me: $*" >&2; }
die() { say "$@"; exit 1; }

# ---- parts of build/deps -----------------------------------------------------------------------

# dep NAME STAMP COMMAND...: makes $deps/NAME out of what COMMAND leaves in ./out, unless STAMP says
# that it is there already.  COMMAND may stop anywhere: nothing half-made is ever seen under NAME.
dep() {
  local name=$1 stamp=$2 place=$deps/$1 begin=$SECONDS
  shift 2
  if dep_is "$place" "$stamp"; then return; fi
  mkdir -p "$deps"
  (
    flock 9
    if dep_is "$place" "$stamp"; then exit; fi # another run made it while we waited
    say "getting $name ..."
    rm -rf "$place.new" && mkdir -p "$place.new/out"
    cd "$place.new" || exit
    trap '[ $? -eq 0 ] || say "$name: $(tail -n 1 log | sed "s/^$me: //") (all of it: $place.new/log)" 2>&8' EXIT
    "$@" >log 2>&1 9>&-
    echo "$stamp" >out/.stamp
    rm -rf "$place" && mv out "$place" && rm -rf "$place.new"
    say "$name is here after $((SECONDS - begin)) s"
  ) 8>&2 9>"$deps/.lock-${name//\//-}"
}
dep_is() { [ "$(cat "$1/.stamp" 2>/dev/null)" = "$2" ]; }

# jars NAME POM [option of Maven]...: $deps/NAME = all jars that tools/POM asks for.
jars() {
  local name=$1 pom=$root/tools/$2
  shift 2
  dep "$name" "$(cksum <"$pom")" maven "$pom" "$@"
}
maven() {
  command -v mvn >/dev/null || die "Maven is missing: run tools/deps, or install the package maven"
  # Two Mavens at once may spoil their common repository in ~/.m2.
  flock "$deps/.lock-maven" mvn -q -B -Dstyle.color=never -f "$@" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$PWD/out" ||
    die "Maven cannot fetch the jars: is Maven Central, or the mirror in ~/.m2/settings.xml, reachable?"
}

# ---- our own programs -----------------------------------------------------------------------------

configure() { # DIR
  mkdir -p "$1"
  cmake -G Ninja -S "$root" -B "$1" "-DMILLRACE_DEPS=$deps" >"$1/configure.log" 2>&1 ||
    die "cmake failed: $(grep -A 2 'CMake Error' "$1/configure.log" | tail -n 1) (all of it: $1/configure.log)"
}

# build DIR [TARGET]...: builds them there, says every now and then where it is, and nothing when
# there was nothing to do.
build() {
  local place=$1 begin=$SECONDS told=$SECONDS pid
  shift
  if [ ! -f "$place/build.ninja" ]; then configure "$place"; fi
  ninja -C "$place" "$@" >"$place/build.log" 2>&1 &
  pid=$!
  trap 'kill "$pid" 2>/dev/null' EXIT
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.1
    if [ $((SECONDS - told)) -ge 2 ]; then
      told=$SECONDS
      say "building: $(tail -n 1 "$place/build.log" | cut -c -90)"
    fi
  done
  trap - EXIT
  if ! wait "$pid"; then
    sed -n '/^FAILED/,$p' "$place/build.log" | head -n 40 >&2
    die "the build failed (all of it: $place/build.log)"
  fi
  if [ $((SECONDS - begin)) -ge 2 ]; then say "built after $((SECONDS - begin)) s"; fi
}

# ---- servers in the background ------------------------------------------------------------------
# A server lives in the folder $dir: its configuration $dir/$conf, a log, its port and its pid.

# Our process and not a later one with its number: the command line names our configuration.
# shellcheck disable=SC2154 # dir and conf are the script's
alive() {
  local pid
  pid=$(cat "$dir/pid" 2>/dev/null) && grep -qzxF -- "$dir/$conf" "/proc/$pid/cmdline" 2>/dev/null
}

running() { alive && [ -s "$dir/port" ]; } # the port is written when it serves

# await_ready TEXT: waits until the log says TEXT; false if the process ended or took two minutes.
await_ready() {
  local end=$((SECONDS + 120))
  until grep -qF -- "$1" "$dir/log"; do
    if ! kill -0 $! 2>/dev/null || [ $SECONDS -ge $end ]; then return 1; fi
    sleep 0.05
  done
}

# serve PORTS READY COMMAND...: writes the configuration with `configure` and starts COMMAND, on
# $port, the port of last time or a free one (and PORTS - 1 after it); true when its log says READY.
serve() {
  local ports=$1 ready=$2 fixed=$port
  shift 2
  signal KILL # what an interrupted start may have left
  if [ -z "$fixed" ] && [ -s "$dir/port" ]; then fixed=$(<"$dir/port"); fi
  for _ in 1 2 3 4 5; do
    # Below the ports that the kernel gives to outgoing connections.
    port=${fixed:-$((20000 + RANDOM % (12000 / ports) * ports))}
    configure
    if [ -s "$dir/log" ]; then mv "$dir/log" "$dir/log.old"; fi
    : >"$dir/log"
    setsid "$@" >"$dir/log" 2>&1 </dev/null 8>&- 9>&- &
    echo $! >"$dir/pid"
    if await_ready "$ready"; then
      echo "$port" >"$dir/port"
      return
    fi
    signal KILL
    if ! grep -qiE 'address already in use|failed to bind' "$dir/log"; then
      die "it did not start: $(grep -E 'ERROR|Exception|Error' "$dir/log" | head -n 1 | cut -c -300) (all of it: $dir/log)"
    fi
    if [ -n "$fixed" ]; then break; fi
  done
  die "port $port is taken: stop what listens there, or choose another with --port"
}

# signal NAME: sends it, waits for the end, and kills what has not ended within 30 s.
signal() {
  local end=$((SECONDS + 30))
  if alive; then kill -"$1" "$(<"$dir/pid")" 2>/dev/null || true; fi
  while alive; do
    if [ $SECONDS -ge $end ]; then kill -KILL "$(<"$dir/pid")" 2>/dev/null || true; fi
    sleep 0.05
  done
  rm -f "$dir/pid"
}

# One start or stop of the same folder at a time.
lock_dir() {
  mkdir -p "$dir"
  exec 9>"$dir/.lock"
  flock 9
}
