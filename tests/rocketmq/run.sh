#!/usr/bin/env bash
# Runs a command next to a real RocketMQ: one name server and one broker (or more) of the
# given version, on free loopback ports, with a store that is thrown away afterwards.
#
#   tests/rocketmq/run.sh VERSION -- COMMAND...        VERSION: 5.4.0 or 4.9.7
#
# Needs bash, coreutils, Java 17 and (for the first run of a version) Maven.
#
# The command sees: ROCKETMQ_NAME_SERVER (host:port), ROCKETMQ_NAME_SERVER_PID, ROCKETMQ_BROKER (the first broker),
#   ROCKETMQ_BROKER_ADDRS and ROCKETMQ_BROKER_PIDS (all of them, separated by spaces),
#   ROCKETMQ_VERSION, ROCKETMQ_CLASSPATH (the jars, for `java -cp`), ROCKETMQ_HOME_DIR (logs
#   and store). Its standard input is empty; its exit status becomes that of this script.
#   Other statuses: 2 = wrong usage, 3 = java or mvn is missing or the jars cannot be had,
#   4 = the servers did not start, or the disk is nearly full.
# Settings by environment:
#   ROCKETMQ_BROKERS=N         number of brokers: broker-a, broker-b, ... (default 1)
#   ROCKETMQ_BROKER_CONF       more broker settings: "key=value key=value"
#   ROCKETMQ_SLAVE=1           also a slave of broker-a; the command sees ROCKETMQ_SLAVE_ADDR
#   ROCKETMQ_PROXY=1           also a proxy (5.x only); the command sees ROCKETMQ_PROXY_ADDR, its remoting port
#   ROCKETMQ_BROKER_FILES      more files for every broker's conf directory, separated by spaces
#   ROCKETMQ_NAMESRV_CONF      the same for the name server
#   ROCKETMQ_JAVA_OPTS         more flags for every server's JVM
#   ROCKETMQ_TLS_ONLY=1        the servers refuse plain connections: a broker counts as ready when it says so
#   TMPDIR                     where the stores are (default /tmp); from 83 % on in /dev/shm, if that has 2 GiB free
#   ROCKETMQ_TEST_CACHE        where the jars are kept (default ~/.cache/rocketmq-blocking)
set -euo pipefail

me=tests/rocketmq/run.sh
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
fail() { echo "$me: $2" >&2; exit "$1"; }

[[ $# -ge 3 && $1 =~ ^[45]\.[0-9]+\.[0-9]+$ && $2 == -- ]] || fail 2 "usage: $me VERSION -- COMMAND..."
version=$1; shift 2
brokers=${ROCKETMQ_BROKERS:-1}
[[ $brokers =~ ^[1-9]$ ]] || fail 2 "ROCKETMQ_BROKERS must be 1 to 9"
[[ -z ${ROCKETMQ_PROXY:-} || $version == 5.* ]] || fail 2 "ROCKETMQ_PROXY needs RocketMQ 5.x"
command -v java >/dev/null || fail 3 "no java on PATH (Java 17 runs the RocketMQ servers)"

# --- jars: downloaded beside the cache and moved in, so a broken download is never taken for a full one
cache=${ROCKETMQ_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rocketmq-blocking}
# fetch NAME [MAVEN-OPTION]: the jars that pom.xml lists, into $cache/NAME/lib
fetch() {
  [[ ! -d $cache/$1/lib ]] || return 0
  command -v mvn >/dev/null || fail 3 "no mvn on PATH (Maven fetches the RocketMQ $1 jars once)"
  mkdir -p "$cache"
  part=$(mktemp -d "$cache/part.XXXXXX")
  trap 'rm -rf "$part"' EXIT; trap 'exit 130' INT; trap 'exit 143' HUP TERM
  echo "$me: fetching the RocketMQ $1 jars into $cache/$1" >&2
  mvn -q -B -Dstyle.color=never -f "$here/pom.xml" -Drocketmq.version="$version" ${2:+"$2"} dependency:copy-dependencies \
    -DoutputDirectory="$part/lib" >&2 </dev/null || fail 3 "Maven could not fetch the RocketMQ $1 jars"
  # mktemp makes private directories; the first one wins, both copies are the same
  chmod 755 "$part"; mv -T "$part" "$cache/$1" 2>/dev/null || [[ -d $cache/$1/lib ]]
  rm -rf "$part"
}
fetch "$version"
# They have a folder of their own: no other server needs them.
[[ -z ${ROCKETMQ_PROXY:-} ]] || fetch "$version-proxy" -Pproxy

# Where the stores can be. Brokers refuse messages on a disk that is 90 % full, and delete old ones at 85 %; no
# setting lifts that. Memory is the next best place: the stores take some hundred MiB, and are thrown away.
usual=${TMPDIR:-/tmp}
used() { # in percent; 0 if it cannot be told
  local used
  used=$(df --output=pcent "$1" 2>/dev/null | tail -n 1 | tr -dc 0-9) || true
  echo "${used:-0}"
}
roomy() {
  local full free memory=/dev/shm
  full=$(used "$usual")
  if ((full < 83)); then echo "$usual"; return; fi
  free=$(df --output=avail "$memory" 2>/dev/null | tail -n 1 | tr -dc 0-9) || true
  if [[ -w $memory ]] && ((${free:-0} > 2 * 1024 * 1024 && $(used "$memory") < 60)); then
    echo "$me: $usual is $full % full: the brokers' stores are in $memory" >&2
    echo "$memory"; return
  fi
  ((full < 88)) || fail 4 "$usual is $full % full, and brokers refuse messages at 90 %: free some space, set TMPDIR, or have 2 GiB free in $memory"
  echo "$me: $usual is $full % full: brokers delete old messages at 85 %, and refuse new ones at 90 %" >&2
  echo "$usual"
}

# --- from here on: whatever happens, our own processes end and the directory goes
dir= java_tmp=
servers=() command_pid=
cleanup() {
  trap '' HUP INT TERM
  # the command's whole process group: cargo's children shall not outlive it
  [[ -z $command_pid ]] || kill -TERM -- "-$command_pid" 2>/dev/null || true
  for pid in "${servers[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
  for pid in "${servers[@]}"; do while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done; done
  [[ -z $command_pid ]] || wait "$command_pid" 2>/dev/null || true
  rm -rf ${dir:+"$dir"} ${java_tmp:+"$java_tmp"}
}
trap cleanup EXIT; trap 'exit 130' INT; trap 'exit 143' HUP TERM
place=$(roomy) # on a line of its own: here a failure ends the script
dir=$(mktemp -d "$place/rocketmq.XXXXXX") || fail 4 "no directory can be made in $place"
java_tmp=$(mktemp -d "$usual/rocketmq-java.XXXXXX") || fail 4 "no directory can be made in $usual" # libraries are loaded from there, which memory may not allow
# Job control gives every background process its own group: Ctrl-C then reaches only this
# script, which ends the others in order.
set -m

in_use() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
taken=()
pick_port() { # sets $port; a broker also uses port-2 (VIP) and port+1 (replication)
  local p
  while :; do
    # below the range from which the system takes ports for outgoing connections
    port=$((20000 + RANDOM % 1200 * 10 + 5))
    [[ " ${taken[*]-} " != *" $port "* ]] || continue
    for p in $((port - 2)) "$port" $((port + 1)); do in_use "$p" && continue 2; done
    taken+=("$port"); return
  done
}

# Asks the name server for a topic's route by the remoting protocol (4 bytes length, 4 bytes
# header length, JSON header); true if the answer's code is 0.
has_route() {
  local header="{\"code\":105,\"extFields\":{\"topic\":\"$1\"},\"flag\":0,\"language\":\"JAVA\",\"opaque\":1,\"version\":401}"
  local lengths hex
  printf -v lengths '\\x00\\x00\\x00\\x%02x\\x00\\x00\\x00\\x%02x' $((${#header} + 4)) ${#header}
  { exec 3<>"/dev/tcp/127.0.0.1/$name_server_port"; } 2>/dev/null || return 1
  # shellcheck disable=SC2059  # the escapes are meant to be read
  printf "$lengths%s" "$header" >&3 || true
  hex=$(timeout 2 head -c 60 <&3 | od -An -v -tx1 | tr -d ' \n') || true
  exec 3<&- 3>&-
  # "code":0, in a JSON header; in a binary one (a server started with
  # -Drocketmq.serialize.type=ROCKETMQ) the first two bytes
  [[ $hex == *22636f6465223a302c* || ${hex:8:2}${hex:16:4} == 010000 ]]
}

# -XX: quick to start on a small machine. --add-*: 4.9 reaches into these on Java 17, for
# one when it deletes a topic.
jvm=(java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:MaxDirectMemorySize=512m)
for package in java.lang java.nio sun.nio.ch; do jvm+=(--add-opens "java.base/$package=ALL-UNNAMED"); done
for package in sun.nio.ch jdk.internal.ref; do jvm+=(--add-exports "java.base/$package=ALL-UNNAMED"); done

# start NAME HEAP MAIN-CLASS [JARS [FLAG]]: 0 = up, 1 = its port was taken meanwhile (try another one)
start() {
  local name=$1 heap=$2 main=$3 jars=${4:-$version} flag=${5:--c} home=$dir/$1 pid end
  mkdir -p "$home/conf"; mv "$dir/conf" "$home/conf/server.conf"
  [[ $version != 4.* ]] || for log in namesrv broker; do cp "$here/logback.xml" "$home/conf/logback_$log.xml"; done
  # shellcheck disable=SC2086  # several files
  [[ $name != broker-* || -z ${ROCKETMQ_BROKER_FILES:-} ]] || cp $ROCKETMQ_BROKER_FILES "$home/conf/"
  : >"$home/out.log"
  # shellcheck disable=SC2086  # the options are meant to be split
  ROCKETMQ_HOME=$home RMQ_PROXY_HOME=$home "${jvm[@]}" -Duser.home="$home" -Djava.io.tmpdir="$java_tmp" -Xms"$heap" -Xmx"$heap" ${ROCKETMQ_JAVA_OPTS:-} \
    -cp "$cache/$jars/lib/*" "$main" "$flag" "$home/conf/server.conf" >"$home/out.log" 2>&1 </dev/null &
  pid=$!
  servers+=("$pid"); end=$((SECONDS + 60))
  disown "$pid" # a test may kill it: the shell shall not report that
  # the programs print that; a broker is of use only once the name server knows it
  until grep -qE 'boot success|startup successfully' "$home/out.log" && { [[ $name != broker-* || -n ${ROCKETMQ_TLS_ONLY:-} ]] || has_route "${name%-slave}"; }; do
    if ! kill -0 "$pid" 2>/dev/null; then
      grep -qiE 'BindException|Address already in use' "$home/out.log" && { rm -rf "$home"; return 1; }
      tail -n 30 "$home/out.log" >&2; fail 4 "$name of RocketMQ $version ended while starting (its log is above)"
    fi
    ((SECONDS < end)) || { tail -n 30 "$home/out.log" >&2; fail 4 "$name of RocketMQ $version was not ready after 60 s (its log is above)"; }
    sleep 0.1
  done
  last_pid=$pid
}

start_name_server() {
  pick_port; name_server_port=$port
  printf '%s\n' "listenPort=$port" bindAddress=127.0.0.1 ${ROCKETMQ_NAMESRV_CONF:-} >"$dir/conf"
  start namesrv 256m org.apache.rocketmq.namesrv.NamesrvStartup
}
start_broker() { # NAME [BROKER]: with a BROKER its slave
  pick_port
  local role=(brokerId=0)
  [[ -z ${2:-} ]] || role=(brokerId=1 brokerRole=SLAVE)
  # small files, so that an empty store is quick to make; a fuller disk than usual must not
  # stop the broker; both spellings of "mapped", since 4.9 knows the older one; what a busy
  # machine leaves in the broker's queue for long, or takes long to store, is not refused
  # shellcheck disable=SC2086
  printf '%s\n' brokerClusterName=DefaultCluster "brokerName=${2:-$1}" "listenPort=$port" \
    "haListenPort=$((port + 1))" bindAddress=127.0.0.1 brokerIP1=127.0.0.1 brokerIP2=127.0.0.1 \
    "namesrvAddr=127.0.0.1:$name_server_port" "storePathRootDir=$dir/$1/store" \
    "storePathCommitLog=$dir/$1/store/commitlog" mappedFileSizeCommitLog=67108864 \
    mapedFileSizeCommitLog=67108864 mappedFileSizeConsumeQueue=600000 mapedFileSizeConsumeQueue=600000 \
    maxIndexNum=100000 maxHashSlotNum=50000 diskMaxUsedSpaceRatio=98 flushDiskType=ASYNC_FLUSH \
    autoCreateTopicEnable=true waitTimeMillsInSendQueue=30000 osPageCacheBusyTimeOutMills=30000 ${ROCKETMQ_BROKER_CONF:-} "${role[@]}" >"$dir/conf"
  start "$1" 512m org.apache.rocketmq.broker.BrokerStartup
}
start_proxy() { # as it comes, but for what it knows of routes and producers, which it renews after 20 s
  pick_port
  printf '{"rocketMQClusterName":"DefaultCluster","proxyMode":"CLUSTER","namesrvAddr":"%s","remotingListenPort":%d,
    "grpcServerPort":%d,"remotingAccessAddr":"127.0.0.1","localServeAddr":"127.0.0.1",
    "topicRouteServiceCacheRefreshSeconds":1,"transactionHeartbeatPeriodSecond":1}\n' \
    "127.0.0.1:$name_server_port" "$port" $((port + 1)) >"$dir/conf"
  start proxy 256m org.apache.rocketmq.proxy.ProxyStartup "$version-proxy" -pc
}

again() { "$@" || "$@" || "$@" || fail 4 "found no free port"; }
again start_name_server
name_server_pid=$last_pid
addrs=() pids=()
for ((i = 0; i < brokers; i++)); do
  name=broker-$(printf "\\x$(printf %x $((97 + i)))")
  again start_broker "$name"
  addrs+=("127.0.0.1:$port") pids+=("$last_pid")
done

if [[ -n ${ROCKETMQ_SLAVE:-} ]]; then
  again start_broker broker-a-slave broker-a
  export ROCKETMQ_SLAVE_ADDR=127.0.0.1:$port
fi
if [[ -n ${ROCKETMQ_PROXY:-} ]]; then
  again start_proxy
  export ROCKETMQ_PROXY_ADDR=127.0.0.1:$port
fi

unset ROCKETMQ_HOME
export ROCKETMQ_NAME_SERVER=127.0.0.1:$name_server_port ROCKETMQ_NAME_SERVER_PID=$name_server_pid ROCKETMQ_BROKER=${addrs[0]} ROCKETMQ_VERSION=$version
export ROCKETMQ_BROKER_ADDRS="${addrs[*]}" ROCKETMQ_BROKER_PIDS="${pids[*]}"
export ROCKETMQ_CLASSPATH="$cache/$version/lib/*" ROCKETMQ_HOME_DIR=$dir
"$@" </dev/null &
command_pid=$!
status=0; wait "$command_pid" || status=$?
command_pid=
exit "$status"
