# What the scripts in tools/ share.  Source it after `set -euo pipefail`.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
deps=$(realpath -m "${MILLRACE_DEPS:-$root/build/deps}")
me=${0##*/}

say() { echo "$me: $*" >&2; }
die() { say "$@"; exit 1; }

# dep NAME STAMP COMMAND...: makes $deps/NAME out of what COMMAND leaves in ./out, unless STAMP says
# that it is there already.  COMMAND may stop anywhere: nothing half-made is ever seen under NAME.
dep() {
  local name=$1 stamp=$2 dir=$deps/$1 begin=$SECONDS
  shift 2
  if dep_is "$dir" "$stamp"; then return; fi
  mkdir -p "$deps"
  (
    flock 9
    if dep_is "$dir" "$stamp"; then exit; fi # another run made it while we waited
    say "getting $name ..."
    rm -rf "$dir.new" && mkdir -p "$dir.new/out"
    cd "$dir.new" || exit
    trap '[ $? -eq 0 ] || say "$name: $(tail -n 1 log | sed "s/^$me: //") (all of it: $dir.new/log)"' EXIT
    "$@" >log 2>&1
    echo "$stamp" >out/.stamp
    rm -rf "$dir" && mv out "$dir" && rm -rf "$dir.new"
    say "$name is here after $((SECONDS - begin)) s"
  ) 9>"$deps/.lock-${name//\//-}"
}
dep_is() { [ "$(cat "$1/.stamp" 2>/dev/null)" = "$2" ]; }

# jars NAME POM [option of Maven]...: $deps/NAME = all jars that tools/POM asks for.
# shellcheck disable=SC2034 # for the scripts
kafka_version=$(sed -n 's/.*<kafka>\(.*\)<.*/\1/p' "$root/tools/kafka.pom.xml")
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
