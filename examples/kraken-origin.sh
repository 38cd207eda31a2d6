#!/usr/bin/env bash
# Kraken's public paths of an origin, one after the other, each with the status that Kraken gives:
#
#   examples/kraken-origin.sh http://127.0.0.1:15002 FILE [NAMESPACE]
#
# Uploads FILE in chunks, reads it back, asks where it lies and what it consists of, and cleans up. Needs curl, sha256sum.
# FILE is one that neither the origins nor a backend have yet: what a backend has got stays there, and is had from it again.
set -eu

origin=${1:?the origin\'s API, such as http://127.0.0.1:15002}
file=${2:?a file to upload}
namespace=${3:-library/kraken}

digest=sha256:$(sha256sum "$file" | cut -d' ' -f1)
size=$(stat -c %s "$file")
ns=${namespace//\//%2F}
blob="$origin/namespace/$ns/blobs/$digest"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chunk=$((4 * 1024 * 1024))

# expect STATUS WHAT CURL-ARGUMENTS...: headers to $scratch/head, the body to $scratch/body
expect() {
  local wanted=$1 what=$2 got
  shift 2
  got=$(curl -sS -o "$scratch/body" -D "$scratch/head" -w '%{http_code}' "$@")
  printf '%-3s %s\n' "$got" "$what"
  [ "$got" = "$wanted" ] || { echo "expected $wanted:"; head -c 1000 "$scratch/body" | tr -cd '[:print:]\n'; echo; exit 1; }
}
# gone WHAT CURL-ARGUMENTS...: 404, once the origin has asked its backend, or the other origins (202 meanwhile)
gone() {
  for _ in $(seq 30); do
    [ "$(curl -sS -o /dev/null -w '%{http_code}' "${@:2}")" = 202 ] || break
    sleep 1
  done
  expect 404 "$@"
}
header() { tr -d '\r' < "$scratch/head" | sed -n "s/^$1: //Ip"; }

expect 200 health "$origin/health"
gone 'GET a blob that nobody has' "$blob"
expect 404 'stat of it' -I "$origin/internal/namespace/$ns/blobs/$digest"

expect 200 'POST uploads' -X POST "$blob/uploads?size=$size"
uid=$(header location)
echo "    Location: $uid"
expect 409 'PATCH beyond where the upload stands' -X PATCH -H 'Content-Range: 5-10' --data-binary 12345 "$blob/uploads/$uid"
for ((start = 0; start < size; start += chunk)); do
  end=$((start + chunk < size ? start + chunk : size))
  tail -c +$((start + 1)) "$file" | head -c $((end - start)) > "$scratch/chunk"
  expect 200 "PATCH $start-$end" -X PATCH -H "Content-Range: $start-$end" -H 'Content-Type: application/octet-stream' \
    --data-binary "@$scratch/chunk" "$blob/uploads/$uid"
done
expect 200 'PUT uploads: commit' -X PUT "$blob/uploads/$uid"
expect 409 'POST uploads of what is there' -X POST "$blob/uploads"
expect 404 'PATCH of an upload that there is none of' -X PATCH -H 'Content-Range: 0-5' --data-binary 12345 \
  "$blob/uploads/00000000-0000-0000-0000-000000000000"

expect 200 'GET the blob' "$blob"
cmp "$scratch/body" "$file"
expect 200 'stat' -I "$origin/internal/namespace/$ns/blobs/$digest?local=true"
[ "$(header content-length)" = "$size" ] || { echo "stat says $(header content-length) bytes, not $size"; exit 1; }
expect 200 'locations' "$origin/blobs/$digest/locations"
echo "    Origin-Locations: $(header origin-locations)"
expect 200 'prefetch of what is there' -X POST "$blob/prefetch"
expect 200 'metainfo' "$origin/internal/namespace/$ns/blobs/$digest/metainfo"
head -c 100 "$scratch/body" | sed 's/^/    /' && echo
expect 200 'forcecleanup?ttl_hr=24' -X POST "$origin/forcecleanup?ttl_hr=24"
sed 's/^/    /' "$scratch/body" && echo
expect 400 'forcecleanup without an age' -X POST "$origin/forcecleanup"
expect 200 'forcecleanup/v2?target_util_percent=90' -X POST "$origin/forcecleanup/v2?target_util_percent=90"
sed 's/^/    /' "$scratch/body" && echo
expect 202 'DELETE it' -X DELETE "$origin/internal/blobs/$digest"
expect 404 'DELETE it again' -X DELETE "$origin/internal/blobs/$digest"
