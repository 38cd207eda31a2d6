/**
 * Who asks an agent for the head of a blob only to push it.
 *
 * An agent is read only, and should say so at the first request that tells a push from a pull. The ping is the same for
 * both. Then a pusher asks HEAD of each layer, and where the answer is "it is there", says "already exists" for every
 * one and fails at the manifest only. HEAD belongs to reading as well: lazy pulls (stargz), oras, regctl, libraries
 * (go-containerregistry), containerd for a digest that is no manifest, and the conformance suite learn a blob's size
 * so. So it is the client's name that decides, for clients of which it is known that no pull of theirs asks HEAD of a
 * blob: to them every blob is unknown here, they begin an upload, and the refusal of that names the proxy in words that
 * they show.
 *
 * Seen on the wire, pulls and pushes of each: docker 20.10, skopeo 1.9, podman 4.3 and CRI-O's library (containers/),
 * buildah 1.28, crane 0.22 (but not its library under a name of its own, which asks HEAD for the size of a layer).
 */

const pushersOfHeads = /^(?:docker|skopeo|containers|libpod|buildah|crane)\//i;

/** Whether a client of this `User-Agent` that asks HEAD of a blob is about to push. */
export function pushes(userAgent: string | undefined): boolean {
  return userAgent !== undefined && pushersOfHeads.test(userAgent);
}
