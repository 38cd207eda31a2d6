/** The cluster's read-write registry: one request, one branch. */

import type { OciRequest } from '../core/oci/request.ts';
import type { OciContext, OciReply, RegistryHandler } from '../platform/registry/reply.ts';
import { Blobs } from './blobs.ts';
import { Lists } from './lists.ts';
import { Manifests } from './manifests.ts';
import { Push, type PushParts } from './push.ts';

export class ProxyRegistry implements RegistryHandler {
  readonly #blobs: Blobs;
  readonly #manifests: Manifests;
  readonly #lists: Lists;
  readonly #push: Push;

  constructor(parts: PushParts) {
    this.#blobs = new Blobs(parts);
    this.#manifests = new Manifests(parts);
    this.#lists = new Lists(parts);
    this.#push = new Push(parts);
  }

  async handle(request: OciRequest, context: OciContext): Promise<OciReply> {
    switch (request.kind) {
      case 'ping':
        return { kind: 'json', value: {} };
      case 'blobRead':
        return this.#blobs.read(request, context);
      case 'blobDelete':
        return this.#blobs.remove(request, context);
      case 'manifestRead':
        return this.#manifests.read(request, context);
      case 'manifestPut':
        return this.#manifests.put(request, context);
      case 'manifestDelete':
        return this.#manifests.remove(request, context);
      case 'referrers':
        return this.#lists.referrers(request, context);
      case 'tags':
        return this.#lists.tags(request, context);
      case 'catalog':
        return this.#lists.catalog(request, context);
      case 'uploadBegin':
        return this.#push.begin(request, context);
      case 'uploadStatus':
        return this.#push.status(request, context);
      case 'uploadAppend':
        return this.#push.append(request, context);
      case 'uploadCommit':
        return this.#push.commit(request, context);
      case 'uploadCancel':
        return this.#push.cancel(request, context);
    }
  }
}
