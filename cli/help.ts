/** What --help says after the options, where these alone do not tell how a command is used. */

export const HELP = {
  shoal: `
Exit codes: 0 done, 1 failed, 2 asked wrongly or cannot start, 130 stopped by Ctrl-C.`,
  up: `
  shoal up --backends backends.yaml                            blobs and tags rest in a bucket, a directory, ...
  shoal up --indexes 3 --store postgres://shoal@127.0.0.1/shoal
  shoal up --indexes 3 --store bucket.yaml                     docs/index.md`,
  get: `
A host in front of a reference is dropped: --agent says where. What broke off goes on from FILE.part; what is there
and right is not fetched again. With -o - wait for exit code 0: the bytes come before the digest is known.

  shoal get library/app:1 -o app/            an image
  shoal get models/m:1                       a file that was put with --tag, under its own name
  shoal get sha256:... -o model.bin          a blob`,
  put: `
  shoal put model.bin                            fetched by its digest
  shoal put model.bin --repo models/m --tag 1    and by name: shoal get models/m:1`,
  origin: `
  shoal origin ls                            what is there
  shoal origin verify                        reads everything back; exit code 1 where anything is wrong
  shoal origin evict --to 70%                until so much of the disk's budget is used
  shoal origin repair                        what it lacks, how fast it comes, how long that takes
  shoal origin drain --wait                  until the origin may be switched off for good
  shoal origin queue ls --dead               what could not be written to its backend, and why
  shoal origin queue retry --all             once the reason is gone`,
  index: `
  shoal index queue ls                       what waits, and why it failed last
  shoal index queue ls --sums                how much, of each backend
  shoal index queue retry --all              once the reason is gone, without waiting for the next attempt
  shoal index queue drop --target old        what waits for a target that is configured no more`,
  backup: `
On the host of the index, which may run meanwhile. FILE is there whole and on disk, or not at all; one that is there is
not replaced.

  shoal index backup --config index.yaml --to /backups/index-$(date +%F).db`,
  restore: `
On the host of the index, which must not run. What was written after the backup is not in it: where the index has backends,
shoal reconcile finds what they have of it, and brings it. The restored index has an identity of its own, so that no
version of a tag is used twice, and origins remove nothing by its word until it is told that nothing is missing in it:
shoal reconcile --apply does that once all is brought, shoal index trust where there is no backend.

  shoal index restore --config index.yaml --from /backups/index-2026-01-31.db
  shoal index restore --config index.yaml --from ... --replace     over what is there, which is put aside`,
  certs: `
Files in a directory for each, under the names that cert-manager's secrets have: tls.crt, tls.key, ca.crt
(docs/security.md). A component reads them by \`tls:\` in its configuration, and takes new ones without a restart.

  shoal certs init --cluster prod
  shoal certs issue origin origin-1 --san origin-1.example.org --san 10.0.0.2
  shoal certs issue agent host-7 --san 10.0.1.7
  shoal certs issue admin alice                    for shoal status, origin, ...: SHOAL_TLS=certs/alice
  shoal certs show                                 whose, and until when
  shoal certs rotate --within 30                   those that expire soon, anew, in their places
  shoal certs rotate --ca                          1. believe a new authority as well
  shoal certs rotate                               2. all certificates anew, by the new one
  shoal certs rotate --forget-old                  3. believe only the new one
  shoal certs revoke certs/host-7                  for processes with \`tls: { crl: .../ca.crl }\``,
  access: `
Users and rules lie in the index; proxies and agents with \`access:\` go by them within seconds (docs/access.md).

  shoal access user add alice --group dev < password.txt
  shoal access rules set rules.yaml
  docker login localhost:15000`,
  trust: `
An index that was restored from a backup has forgotten what came after it. Origins remove nothing by its word until it knows
what is needed: shoal reconcile --apply brings that from its backends, and says so by itself. Where there is no backend, or
what is broken there is settled:

  shoal index trust --index http://10.0.0.7:15004`,
  move: `
Both files are configurations of an index; --to names another store, which is empty. Each index of the old store runs with
readOnly: true meanwhile, so that pulls go on. Everything is copied, then compared entry by entry; only then is the new
store one that an index takes. A move that broke off is given again, and goes on.

  shoal index move --from index.yaml --to index-postgres.yaml`,
  pin: `
Examples:
  shoal pin ls http://127.0.0.1:16002 http://10.0.0.2:15002       an agent and an origin
  shoal pin add library/base:2024 http://127.0.0.1:16002          the agent fetches and keeps it`,
  quota: `
A repository with a limit of its own is a line, and all that share one are a line.

  shoal quota ls                             what is used of each quota
  shoal quota ls --all --json                every repository, as JSON`,
  block: `
The digest is what is blocked: of a layer, a manifest, or an index of several platforms. Images that need it cannot be pulled
any more, nor pushed; its bytes stay where they are, as evidence, and unblock has them given again. A host that is cut off
from the index goes on with the list that it knew last, and says so in /readiness.

  shoal block sha256:... --reason 'CVE-2026-1234'
  shoal block ls
  shoal unblock sha256:...`,
  status: `
Exit code 1: a member does not answer, two have one identity, or those that are asked do not agree about the origins.

  shoal status                                                  as the proxy of this machine sees it
  shoal status http://10.0.0.2:15002 http://10.0.0.3:15003      an origin and a tracker, compared`,
  ls: `
  shoal ls                   repositories
  shoal ls library/app       its tags`,
  gc: `
Without --now it only says what would go. What goes is what has had its grace (gc.grace of the index), which the
cluster sees to by itself now and then. Exit code 1: one of them did not do it, and says why.

  shoal gc                                                     of the cluster of shoal up
  shoal gc --index http://10.0.0.7:15004 --origin http://10.0.0.2:15002 --now`,
  reconcile: `
Without --apply it only says what it would do. The index must be running; it does the work, and nothing in it that is
newer, or still to be written, is replaced. Exit code 1: something in the backend is broken, or it does not answer.

  shoal reconcile --config index.yaml                      after the loss of an index: what would be brought back
  shoal reconcile --config index.yaml --apply              and bring it
  shoal reconcile --index http://10.0.0.7:15004 --repository 'team-a/**' --apply`,
  import: `
Without --apply it only says what it would do, and what is broken there. The index must be running; it does the work.
A tag that is here stays, unless --overwrite. --apply wants the rule of the backend to say \`shared\`: whether others
write there as well. Exit code 1: something is broken there, or rests elsewhere by the rules, or it does not answer.

  shoal import --config index.yaml --from main             what is there, and what of it is broken
  shoal import --config index.yaml --from main --apply     and bring it
  shoal import --from main --repository 'team-a/**' --json`,
  replicate: `
The index must be running, and its configuration have \`replicate\`: docs/replication.md.

  shoal replicate status                     each remote: up or left alone, what waits, since when, why
  shoal replicate diff west                  whether west has what the rules say, and the same of it; exit code 1: not
  shoal replicate retry west                 once the reason is gone: what is dead is not tried again by itself
  shoal replicate backfill west              after the loss of what west had`,
  rm: `
  shoal rm library/app:1                     the tag
  shoal rm library/app@sha256:...            the manifest, with all its tags
  shoal rm sha256:... --repo models/m        the blob, in that repository`,
} as const;
