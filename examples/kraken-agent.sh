#!/usr/bin/env bash
# Kraken's public paths of an agent and of a proxy, one after the other, each with the status that Kraken gives:
#
#   examples/kraken-agent.sh http://127.0.0.1:16002 http://127.0.0.1:15000 library/app:1
#
# The agent's port is `admin`. The image is one that the cluster has, or its storage. Has the origins prefetch it, reads its
# manifest through the agent and drops it there, looks at the agent, and tells the proxy of a push as a registry does.
# Needs curl, sha256sum. With PRELOAD=docker, or PRELOAD=containerd, that runtime of the agent's host pulls the image as well.
set -eu

agent=${1:?the agent\'s port \`admin\`, such as http://127.0.0.1:16002}
proxy=${2:?a proxy, such as http://127.0.0.1:15000}
image=${3:?repository:tag}

repo=${image%:*}
tag=${repo//\//%2F}:${image##*:}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# expect STATUS WHAT CURL-ARGUMENTS...: the body to $scratch/body
expect() {
  local wanted=$1 what=$2 got
  shift 2
  got=$(curl -sS -o "$scratch/body" -w '%{http_code}' "$@")
  printf '%-3s %s\n' "$got" "$what"
  [ "$got" = "$wanted" ] || { echo "expected $wanted:"; head -c 1000 "$scratch/body" | tr -cd '[:print:]\n'; echo; exit 1; }
}
shown() { head -c 300 "$scratch/body" | sed 's/^/    /' && echo; }

echo 'The proxy'
expect 200 health "$proxy/health"
expect 200 readiness "$proxy/readiness"
expect 200 'v2 prefetch' -d "{\"tag\":\"registry.example.com/$image\",\"trace_id\":\"4711\"}" "$proxy/proxy/v2/registry/prefetch"
shown
expect 200 'v1 prefetch' -d "{\"tag\":\"registry.example.com/$image\"}" "$proxy/proxy/v1/registry/prefetch"
expect 400 'v2 prefetch of what is no image' -d '{"tag":"latest"}' "$proxy/proxy/v2/registry/prefetch"
expect 400 'v2 prefetch without JSON' -d 'tag=latest' "$proxy/proxy/v2/registry/prefetch"
expect 500 'v2 prefetch of a tag that is not there' -d "{\"tag\":\"registry.example.com/$repo:nobody-has-this\"}" \
  "$proxy/proxy/v2/registry/prefetch"
shown

echo 'The agent'
expect 200 health "$agent/health"
expect 200 readiness "$agent/readiness"
expect 200 'GET the tag' "$agent/tags/$tag"
digest=$(cat "$scratch/body")
shown
expect 404 'GET a tag that is not there' "$agent/tags/${tag%:*}:nobody-has-this"
expect 400 'GET what is no tag' "$agent/tags/latest"
expect 200 'GET the manifest as a blob' "$agent/namespace/${repo//\//%2F}/blobs/$digest"
[ "sha256:$(sha256sum "$scratch/body" | cut -d' ' -f1)" = "$digest" ] || { echo "the bytes are not those of $digest"; exit 1; }
expect 200 'GET it by the hex digits alone' "$agent/namespace/${repo//\//%2F}/blobs/${digest#sha256:}"
expect 200 'DELETE it from the cache' -X DELETE "$agent/blobs/$digest"
expect 200 'DELETE it again' -X DELETE "$agent/blobs/$digest"
expect 404 'GET a blob that nobody has' "$agent/namespace/x/blobs/sha256:$(printf 'nobody %s' $$ | sha256sum | cut -d' ' -f1)"
expect 200 'the blacklist' "$agent/x/blacklist"
shown
limits='{"Enable":true,"EgressBitsPerSec":1600000000,"IngressBitsPerSec":2400000000}'
expect 200 'PATCH the bandwidth' -X PATCH -d "{\"Conn\":{\"Bandwidth\":$limits}}" "$agent/x/config/scheduler"
expect 400 'PATCH what is no setting here' -X PATCH -d '{"ConnTTL":3600000000000}' "$agent/x/config/scheduler"
shown
expect 200 'PATCH back to what is configured' -X PATCH -d '{}' "$agent/x/config/scheduler"
expect 400 'preload what is no tag' "$agent/preload/tags/latest"
if [ -n "${PRELOAD:-}" ]; then
  expect 200 "preload into $PRELOAD" "$agent/preload/tags/$tag?runtime=$PRELOAD&namespace=${NAMESPACE:-k8s.io}"
fi

echo 'A registry tells the proxy of a push'
type=application/vnd.docker.distribution.manifest.v2+json
push="{\"action\":\"push\",\"target\":{\"mediaType\":\"$type\",\"repository\":\"$repo\",\"digest\":\"$digest\"}}"
expect 200 notifications -H 'Content-Type: application/vnd.docker.distribution.events.v1+json' \
  -d "{\"events\":[$push]}" "$proxy/registry/notifications"
expect 400 'notifications without JSON' -d 'no events' "$proxy/registry/notifications"
