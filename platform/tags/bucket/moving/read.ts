/**
 * What a store in a bucket holds, as entries (platform/tags/move), as it lies there while it is read.
 *
 * Rule 1: cells tell. Marks are traces of what cells say, and are made anew where it is written.
 * Rule 2: a link counts under its gate's epoch only (gates.ts).
 * Rule 3: numbers are known once gates and tags were read, which come before them.
 */

import type { Digest } from '../../../../core/digest.ts';
import { type MoveReading, movePage } from '../../move/engine.ts';
import { type Entries, type EntryKind, type ManifestEntry, referencesOf } from '../../move/entries.ts';
import { leadOf } from '../../versions.ts';
import type { Cells } from '../cells/cells.ts';
import {
  blobSaid,
  documentSaid,
  type GateSaid,
  gateSaid,
  type NumbersSaid,
  recordSaid,
  storeSaid,
  tagSaid,
} from '../cells/values.ts';
import { ABOUT, DOCUMENTS_AT, digestInKey, documentAt, gateAt, NAMES, repoIn, tagIn } from '../layout.ts';
import type { BucketParts } from '../parts.ts';
import type { HeldManifest } from '../record.ts';
import { several } from '../requests/several.ts';
import { broughtEntries, outboxEntries } from './outbox.ts';

const GATES = 'gates/';
const LINKS = 'links/';
const REPOS = 'repos/';

/** Cells that are read for one look at them. */
const groupMax = 256;

export class BucketReading implements MoveReading {
  readonly #cells: Cells;
  readonly #parts: BucketParts;
  #seen: NumbersSaid = { generation: 0, version: 0, forgotten: 0 };

  constructor(cells: Cells, parts: BucketParts) {
    this.#cells = cells;
    this.#parts = parts;
  }

  async *pages<K extends EntryKind>(kind: K): AsyncGenerator<readonly Entries[K][]> {
    let page: object[] = [];
    for await (const entry of this.#entries(kind)) {
      if (page.push(entry) < movePage) continue;
      yield page as Entries[K][];
      page = [];
    }
    if (page.length > 0) yield page as Entries[K][];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // It holds nothing.
  }

  #entries(kind: EntryKind): AsyncIterable<object> {
    switch (kind) {
      case 'unlinked':
        return this.#unlinked();
      case 'repo':
        return this.#repos();
      case 'blob':
        return this.#blobs();
      case 'manifest':
        return this.#manifests();
      case 'tag':
        return this.#tags();
      case 'numbers':
        return this.#numbers();
      case 'succession':
        return this.#succession();
      case 'document':
        return this.#documents();
      case 'brought':
        return broughtEntries(this.#cells);
      case 'outbox':
        return outboxEntries(this.#parts);
      case 'idle':
        return none();
    }
  }

  async *#unlinked(): AsyncGenerator<Entries['unlinked']> {
    const said = looked(this.#gates(), async (digest) => ({ digest, ...(await this.#gate(digest)) }));
    for await (const { digest, epoch, sinceMs, idle, toldMs } of said) {
      this.#see({ generation: epoch });
      if (toldMs !== undefined) yield { digest, toldMs, generation: epoch };
      // Of one that has links, of blobs only, it is counted anew.
      else if (sinceMs !== undefined && idle !== true) yield { digest, sinceMs };
    }
  }

  async *#gates(): AsyncGenerator<Digest> {
    for await (const { key } of this.#cells.keys(GATES)) {
      const digest = digestInKey(key);
      if (digest !== undefined) yield digest;
    }
  }

  async #gate(digest: Digest): Promise<GateSaid> {
    return (await this.#cells.read(gateAt(digest), gateSaid)).value ?? { epoch: 0 };
  }

  async *#documents(): AsyncGenerator<Entries['document']> {
    for await (const { key, live } of this.#cells.keys(DOCUMENTS_AT)) {
      const { value } = await this.#cells.read(documentAt(key), documentSaid);
      if (live && value !== undefined) yield { name: key, ...value };
    }
  }

  async *#repos(): AsyncGenerator<Entries['repo']> {
    for await (const { key } of this.#cells.keys(NAMES)) {
      const repo = repoIn(key);
      if (repo !== undefined) yield { repo };
    }
  }

  #blobs(): AsyncIterable<Entries['blob']> {
    return looked(this.#blobLinks(), async ({ digest, repo, key }) => {
      const { live, value } = await this.#cells.read(key, blobSaid);
      return live && value !== undefined ? { digest, repo, size: value.size } : undefined;
    });
  }

  /** Digests that have a gate, and links, are both listed in the order of digests. */
  async *#blobLinks(): AsyncGenerator<{ readonly digest: Digest; readonly repo: string; readonly key: string }> {
    const gates = this.#gates();
    try {
      let gate = await gates.next();
      let [at, epoch] = ['', 0];
      for await (const { key, live } of this.#cells.keys(LINKS)) {
        const [first = '', of = '', kind = '', ...rest] = key.split('/');
        const digest = digestInKey(first);
        const repo = kind === 'b' && live ? repoIn(rest.join('/')) : undefined;
        if (digest === undefined || repo === undefined) continue;
        if (digest !== at) {
          while (gate.done !== true && gate.value < digest) gate = await gates.next();
          epoch = gate.done !== true && gate.value === digest ? (await this.#gate(digest)).epoch : 0;
          at = digest;
        }
        if (of === String(epoch)) yield { digest, repo, key: LINKS + key };
      }
    } finally {
      await gates.return(undefined);
    }
  }

  #manifests(): AsyncIterable<ManifestEntry> {
    return looked(this.#inRepos('m'), async ({ repo, name, key, live }) => {
      const digest = digestInKey(name);
      if (!live || digest === undefined) return undefined;
      const { live: there, value } = await this.#cells.read(key, recordSaid);
      return there && value ? manifestEntry(repo, digest, value) : undefined;
    });
  }

  async *#tags(): AsyncGenerator<Entries['tag']> {
    const tags = looked(this.#inRepos('t'), async ({ repo, name, key }) => {
      const tag = tagIn(name);
      if (tag === undefined) return undefined;
      const { live, value } = await this.#cells.read(key, tagSaid);
      const { version = null, on } = value ?? {};
      // One of which nothing was ever said.
      if (version === null) return undefined;
      if (!live || on === undefined) return { repo, tag, version, on: null };
      const { digest, mediaType, size } = on;
      return { repo, tag, version, on: { digest, mediaType, size } };
    });
    for await (const tag of tags) {
      this.#see({ version: leadOf(tag.version) ?? 0 });
      yield tag;
    }
  }

  async *#numbers(): AsyncGenerator<Entries['numbers']> {
    const { value } = await this.#cells.read(ABOUT, storeSaid);
    this.#see(value?.numbers ?? {});
    yield this.#seen;
  }

  async *#succession(): AsyncGenerator<Entries['succession']> {
    const { value } = await this.#cells.read(ABOUT, storeSaid);
    for (const { id, trusted } of value?.succession ?? []) yield { id, trusted };
  }

  /** Cells of that kind in all repositories. */
  async *#inRepos(wanted: 'm' | 't'): AsyncGenerator<InRepo> {
    for await (const { key, live } of this.#cells.keys(REPOS)) {
      const end = key.indexOf('!/') + 1;
      const [kind, name = ''] = key.slice(end + 1).split('/');
      const repo = kind === wanted ? repoIn(key.slice(0, end)) : undefined;
      if (repo !== undefined) yield { repo, name, key: REPOS + key, live };
    }
  }

  #see(said: Partial<NumbersSaid>): void {
    const { generation, version, forgotten } = this.#seen;
    this.#seen = {
      generation: Math.max(generation, said.generation ?? 0),
      version: Math.max(version, said.version ?? 0),
      forgotten: Math.max(forgotten, said.forgotten ?? 0),
    };
  }
}

type InRepo = { readonly repo: string; readonly name: string; readonly key: string; readonly live: boolean };

function manifestEntry(repo: string, digest: Digest, held: HeldManifest): ManifestEntry {
  const { mediaType, size, subject, artifactType, annotations, blobs, manifests } = held;
  const said = { subject: subject ?? null, artifactType: artifactType ?? null, annotations: annotations ?? null };
  return { repo, digest, mediaType, size, ...said, ...referencesOf(blobs, manifests) };
}

/** What a look at each gives, in their order; undefined: nothing. */
async function* looked<J, R>(jobs: AsyncIterable<J>, look: (job: J) => Promise<R | undefined>): AsyncGenerator<R> {
  let group: J[] = [];
  async function* all(): AsyncGenerator<R> {
    for (const found of await several(group, look)) if (found !== undefined) yield found;
    group = [];
  }
  for await (const job of jobs) if (group.push(job) >= groupMax) yield* all();
  yield* all();
}

async function* none(): AsyncGenerator<never> {
  // A bucket has no place for any.
}
