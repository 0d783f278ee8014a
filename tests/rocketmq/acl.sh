#!/usr/bin/env bash
# Runs a command next to a real RocketMQ that wants signed requests; see run.sh.
#
#   tests/rocketmq/acl.sh VERSION -- COMMAND...        VERSION: 5.4.0 or 4.9.7
#
# The command also sees ROCKETMQ_ACCESS_KEY and ROCKETMQ_SECRET_KEY, of a user who may do anything.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# The 4.x ones stand in plain_acl.yml too.
export ROCKETMQ_ACCESS_KEY=goldenAccessKey ROCKETMQ_SECRET_KEY=goldenSecretKey123
case ${1:-} in
  4.*)
    export ROCKETMQ_BROKER_CONF="aclEnable=true ${ROCKETMQ_BROKER_CONF:-}"
    export ROCKETMQ_BROKER_FILES="$here/plain_acl.yml ${ROCKETMQ_BROKER_FILES:-}"
    ;;
  5.*)
    auth=org.apache.rocketmq.auth
    user="\"$ROCKETMQ_ACCESS_KEY\"" secret="\"$ROCKETMQ_SECRET_KEY\""
    acl=(
      authenticationEnabled=true
      authenticationProvider=$auth.authentication.provider.DefaultAuthenticationProvider
      authenticationMetadataProvider=$auth.authentication.provider.LocalAuthenticationMetadataProvider
      "initAuthenticationUser={\"username\":$user,\"password\":$secret}"
      "innerClientAuthenticationCredentials={\"accessKey\":$user,\"secretKey\":$secret}"
      authorizationEnabled=true
      authorizationProvider=$auth.authorization.provider.DefaultAuthorizationProvider
      authorizationMetadataProvider=$auth.authorization.provider.LocalAuthorizationMetadataProvider
    )
    export ROCKETMQ_BROKER_CONF="${acl[*]} ${ROCKETMQ_BROKER_CONF:-}"
    ;;
esac
exec "$here/run.sh" "$@"
