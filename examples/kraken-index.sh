#!/usr/bin/env bash
# Kraken's public paths of a build-index, one after the other, each with the status that Kraken gives:
#
#   examples/kraken-index.sh http://127.0.0.1:15004 http://127.0.0.1:15002 [REPOSITORY]
#
# Uploads a small image by an origin's paths of Kraken (examples/kraken-origin.sh), tags it, reads the tag, lists it, asks for
# its replication, and is refused a tag on what nobody holds. Needs curl, sha256sum. The index names the origins (`origins:`).
set -eu

index=${1:?the index\'s API, such as http://127.0.0.1:15004}
origin=${2:?an origin\'s API, such as http://127.0.0.1:15002}
repo=${3:-library/kraken}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
escaped=${repo//\//%2F}

# expect STATUS WHAT CURL-ARGUMENTS...: the body to $scratch/body
expect() {
  local wanted=$1 what=$2 got
  shift 2
  got=$(curl -sS -o "$scratch/body" -D "$scratch/head" -w '%{http_code}' "$@")
  printf '%-3s %s\n' "$got" "$what"
  [ "$got" = "$wanted" ] || { echo "expected $wanted:"; head -c 1000 "$scratch/body" | tr -cd '[:print:]\n'; echo; exit 1; }
}
# upload FILE: its digest to $digest
upload() {
  local size uid
  digest=sha256:$(sha256sum "$1" | cut -d' ' -f1)
  size=$(stat -c %s "$1")
  expect 200 'POST uploads at the origin' -X POST "$origin/namespace/$escaped/blobs/$digest/uploads"
  uid=$(tr -d '\r' < "$scratch/head" | sed -n 's/^location: //Ip')
  expect 200 "PATCH 0-$size" -X PATCH -H "Content-Range: 0-$size" -H 'Content-Type: application/octet-stream' \
    --data-binary "@$1" "$origin/namespace/$escaped/blobs/$digest/uploads/$uid"
  expect 200 'PUT uploads: commit' -X PUT "$origin/namespace/$escaped/blobs/$digest/uploads/$uid"
}

expect 200 health "$index/health"
expect 404 'GET a tag that nobody has put' "$index/tags/$escaped:1"
expect 404 'HEAD of it' -I "$index/tags/$escaped:1"

printf '{"made":"%s-%s"}' "$(date +%s%N)" $$ > "$scratch/config"
head -c 5000 /dev/urandom > "$scratch/layer"
upload "$scratch/config"; config=$digest
upload "$scratch/layer"; layer=$digest
cat > "$scratch/manifest" <<END
{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",
"config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":$(stat -c %s "$scratch/config"),"digest":"$config"},
"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","size":5000,"digest":"$layer"}]}
END
manifest=sha256:$(sha256sum "$scratch/manifest" | cut -d' ' -f1)
expect 500 'PUT a tag on a manifest that no origin holds' -X PUT "$index/tags/$escaped:1/digest/$manifest"
upload "$scratch/manifest"

expect 200 'PUT the tag' -X PUT "$index/tags/$escaped:1/digest/$manifest?replicate=true"
expect 200 'PUT it again' -X PUT "$index/tags/$escaped:1/digest/$manifest"
expect 200 'GET it' "$index/tags/$escaped:1"
[ "$(cat "$scratch/body")" = "$manifest" ] || { echo "GET says $(cat "$scratch/body"), not $manifest"; exit 1; }
expect 200 'HEAD of it' -I "$index/tags/$escaped:1"
expect 400 'GET what is no repository:tag' "$index/tags/$escaped"
expect 400 'PUT what is no digest' -X PUT "$index/tags/$escaped:1/digest/latest"

expect 200 'PUT a second tag' -X PUT "$index/tags/$escaped:2/digest/$manifest"
expect 200 'the tags of the repository' "$index/repositories/$escaped/tags"
sed 's/^/    /' "$scratch/body" && echo
expect 200 'its first tag' "$index/repositories/$escaped/tags?limit=1"
next=$(sed -n 's/.*"next":"\([^"]*\)".*/\1/p' "$scratch/body")
expect 200 "the next: $next" "$index$next"
sed 's/^/    /' "$scratch/body" && echo
expect 200 'every repository:tag below it' "$index/list/$repo"
expect 200 'as Kraken stores them' "$index/list/$repo/_manifests/tags"
expect 200 'every one there is' "$index/list/"
expect 400 'limit=0' "$index/list/?limit=0"
expect 400 'a query that Kraken does not know' "$index/list/?n=1"

expect 200 'POST remotes: replicate it' -X POST "$index/remotes/tags/$escaped:1"
expect 404 'POST remotes of no tag' -X POST "$index/remotes/tags/$escaped:none"
expect 200 'an origin of this cluster' "$index/origin"
sed 's/^/    /' "$scratch/body" && echo
