#!/usr/bin/env bash
# Runs tests/interop/transactions.rs against real RocketMQ servers of one version: transactions that the broker
# asks about soon, and request-reply with the Java client on the other side.
#
#   tests/rocketmq/tx.sh VERSION        VERSION: 5.4.0 or 4.9.7; needs what run.sh needs
set -euo pipefail
[[ $# -eq 1 ]] || { echo "usage: tests/rocketmq/tx.sh VERSION" >&2; exit 2; }
version=$1
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
interop=(cargo test --locked --all-features --test interop)

"${interop[@]}" --no-run
# Brokers ask every five seconds, about what is older than four: an end that a busy machine brings that late is
# rare. A 5.x broker notes only every three seconds what has ended, and would ask about that too.
ROCKETMQ_BROKER_CONF="transactionTimeOut=4000 transactionCheckInterval=5000 transactionOpBatchInterval=200" \
  tests/rocketmq/run.sh "$version" -- "${interop[@]}" -- --include-ignored --nocapture transactions::
