#!/usr/bin/env bash
# Runs all of tests/interop against real RocketMQ servers of one version, each module next to servers of
# the kind that it needs.
#
#   tests/rocketmq/all.sh VERSION           VERSION: 5.4.0 or 4.9.7; needs what run.sh needs
#   STOP_SECONDS=70 ..                      with a broker that stands still for so long
#   tests/rocketmq/all.sh VERSION faults    only what the table of faults (src/docs/faults.md) names
#
# The test the_scripts_run_every_module notices a module that is missing here.
set -euo pipefail
usage() { echo "usage: tests/rocketmq/all.sh VERSION [faults]" >&2; exit 2; }
[[ $# -eq 1 || $# -eq 2 && $2 == faults ]] || usage
version=$1 only=${2:-}
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
run=tests/rocketmq/run.sh
interop=(cargo test --locked --all-features --test interop)

"${interop[@]}" --no-run
usual=(sends::the_largest_message sends::long_properties errors::)
[[ -n $only ]] || usual=(sends:: errors:: heartbeat:: java_client:: java_consumers:: java_groups:: clients:: consumers:: damaged:: flow:: groups::
  lite:: named:: operators:: pop_modes:: popped:: pulls:: simple:: starts:: takeover:: trace::)
"$run" "$version" -- "${interop[@]}" -- --include-ignored "${usual[@]}"
# In the end the name server is killed and comes back; it hears of a broker with its next registration.
# shellcheck disable=SC2016  # the inner shell expands "$@"
ROCKETMQ_BROKER_CONF="autoCreateTopicEnable=false maxMessageSize=8192 registerNameServerPeriod=10000" \
  "$run" "$version" -- bash -c '"$@" strict:: && "$@" broken::forgotten::' - "${interop[@]}" -- --include-ignored
# It waits for a replica that never acknowledges, and is not dropped for its silence; 4.x needs no number of those.
ROCKETMQ_BROKER_CONF="brokerRole=SYNC_MASTER inSyncReplicas=2 slaveTimeout=9000 haHousekeepingInterval=600000" \
  "$run" "$version" -- "${interop[@]}" -- --include-ignored broken::slow::
# A slave, whose master suggests it whenever a consumer is behind, and is killed and comes back.
[[ -n $only ]] || ROCKETMQ_SLAVE=1 ROCKETMQ_BROKER_CONF="slaveReadEnable=true accessMessageInMemoryMaxRatio=0 registerNameServerPeriod=10000" \
  "$run" "$version" -- "${interop[@]}" -- --include-ignored --nocapture slave::
# Two brokers, and an operator who moves queues from one to the other; brokers 4.x have no such topics.
[[ -n $only || $version == 4.* ]] || ROCKETMQ_BROKERS=2 "$run" "$version" -- "${interop[@]}" -- --include-ignored static_topics::
# Both are killed and come back.
ROCKETMQ_BROKERS=2 "$run" "$version" -- "${interop[@]}" -- --include-ignored --nocapture broken::kills::
# The same, and members of consumer groups too. Less than the full size, which takes minutes; see
# tests/README.md. Each ends with its brokers.
if [[ -z $only ]]; then
  export LEDGER=${LEDGER:-20000} LEDGER_PACE=${LEDGER_PACE:-500}
  for kind in members ordered; do
    ROCKETMQ_BROKERS=2 "$run" "$version" -- "${interop[@]}" -- --include-ignored --nocapture "group_ledger::$kind"
  done
fi
# broker-b stands still for so long that its locks expire; on request.
[[ -z ${STOP_SECONDS:-} ]] || ROCKETMQ_BROKERS=2 "$run" "$version" -- "${interop[@]}" -- --include-ignored --nocapture broken::stalled::
# broker-b is stopped for a while. Then one broker after the other goes: broker-c is shut down, broker-b and
# then broker-a are killed.
# The first settings (of 5.x) have a broker that is shut down say so to its clients before; by the last one a broker
# that was in no route is in it again before the tests give up.
# shellcheck disable=SC2016  # the inner shell expands "$@"
ROCKETMQ_BROKERS=3 ROCKETMQ_BROKER_CONF="enableShutdownGracefully=true shutdownWaitTimeSeconds=5 registerNameServerPeriod=10000" \
  "$run" "$version" -- bash -c '"$@" broken::paused:: && "$@" broken::leaving:: && "$@" broken::crash:: && "$@" broken::last_broker::' - \
  "${interop[@]}" -- --include-ignored
# Brokers that want signed requests.
tests/rocketmq/acl.sh "$version" -- "${interop[@]}" -- --ignored acl::
[[ -z $only ]] || exit 0
# Compression, administration, timers, filters, newer retry topics of POP; a broker of 4.x does not know the first
# setting and the last one.
ROCKETMQ_BROKER_CONF="recallMessageEnable=true enablePropertyFilter=true enableRetryTopicV2=true" \
  "$run" "$version" -- "${interop[@]}" -- --ignored admin_and_delays:: filters:: pop_retries::
# A proxy beside the name server. It asks producers about open transactions when the broker does, which is soon.
# Its many jars are no others' concern: where Maven has them not (status 3), all else is tested all the same.
if [[ $version != 4.* ]]; then
  status=0
  ROCKETMQ_PROXY=1 \
    ROCKETMQ_BROKER_CONF="enableMixedMessageType=true transactionTimeOut=4000 transactionCheckInterval=5000 transactionOpBatchInterval=200" \
    "$run" "$version" -- "${interop[@]}" -- --include-ignored --nocapture proxy:: || status=$?
  if ((status == 3)); then echo "!!! SKIPPED: the proxy, as its jars could not be had !!!" >&2
  elif ((status != 0)); then exit "$status"; fi
fi
# Brokers that speak TLS, by themselves and only.
tests/rocketmq/tls.sh "$version"
# Transactions that the broker asks about soon, and request-reply with the Java client.
tests/rocketmq/tx.sh "$version"
