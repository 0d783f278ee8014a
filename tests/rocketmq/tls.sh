#!/usr/bin/env bash
# Runs tests/interop/tls.rs against real RocketMQ servers of one version, each module in it next to
# servers that are set up for it.
#
#   tests/rocketmq/tls.sh VERSION        VERSION: 5.4.0 or 4.9.7; needs what run.sh needs
set -euo pipefail
[[ $# -eq 1 ]] || { echo "usage: tests/rocketmq/tls.sh VERSION" >&2; exit 2; }
version=$1
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
run=tests/rocketmq/run.sh
interop=(cargo test --locked --all-features --test interop)
certificates=$PWD/tests/certificates

"${interop[@]}" --no-run
# as they come: TLS and plain on one port, with a certificate of their own
"$run" "$version" -- "${interop[@]}" -- --include-ignored --nocapture tls::test_mode::

# TLS only, with certificates of an authority; brokers are clients of the name server
export ROCKETMQ_TLS_ONLY=1
own="-Dtls.test.mode.enable=false -Dtls.server.mode=enforcing -Dtls.enable=true -Dtls.client.authServer=true
  -Dtls.server.certPath=$certificates/server.pem -Dtls.server.keyPath=$certificates/server.key
  -Dtls.server.trustCertPath=$certificates/ca.pem -Dtls.client.trustCertPath=$certificates/ca.pem"
ROCKETMQ_JAVA_OPTS="$own -Dtls.server.need.client.auth=none" \
  "$run" "$version" -- "${interop[@]}" -- --include-ignored --nocapture tls::enforcing::
ROCKETMQ_JAVA_OPTS="$own -Dtls.server.need.client.auth=require -Dtls.server.authClient=true
  -Dtls.client.certPath=$certificates/client.pem -Dtls.client.keyPath=$certificates/client.key" \
  "$run" "$version" -- "${interop[@]}" -- --include-ignored --nocapture tls::mutual::
