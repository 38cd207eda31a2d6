/** What a store in a bucket is made of. */

import type { Time } from '../../net/clock.ts';
import type { OutboxOptions } from '../outbox.ts';
import type { StoreAbout } from './about.ts';
import { BucketAdopt } from './adopt.ts';
import type { Cells } from './cells/cells.ts';
import { WriteNumbers } from './cells/numbers.ts';
import { BucketCondemned } from './condemned.ts';
import { BucketDocuments } from './documents.ts';
import { Gates } from './gates.ts';
import { Links } from './links.ts';
import { BucketLists } from './lists.ts';
import { BucketManifests } from './manifests.ts';
import { RepoNames } from './names.ts';
import { CellDamage } from './outbox/damage.ts';
import { Failures } from './outbox/failures.ts';
import { FilledRepos } from './outbox/filled.ts';
import { BucketOutbox } from './outbox/outbox.ts';
import { OutRows } from './outbox/rows.ts';
import { MarkTelling } from './outbox/telling.ts';
import { BucketSuccession } from './succession.ts';
import { Tags } from './tags.ts';

export type BucketParts = ReturnType<typeof bucketParts>;
type Given = { readonly time: Time; readonly outbox?: OutboxOptions | undefined };

export function bucketParts(cells: Cells, about: StoreAbout, { time, outbox: told }: Given) {
  const { database, numbers: last } = about;
  const numbers = new WriteNumbers(database, last.version, told?.nowMs);
  const telling = new MarkTelling(cells, numbers, told);
  const gates = new Gates(cells);
  const links = new Links({ cells, gates, telling });
  const tags = new Tags({ cells, numbers, telling });
  const filled = new FilledRepos({ cells, telling });
  const names = new RepoNames(cells, filled);
  const manifests = new BucketManifests({ cells, links, tags, names, telling });
  const rows = new OutRows({ cells, tags, links, database });
  const tickMs = (): number => time.nowMs();
  const damage = new CellDamage(tickMs, told);
  const failures = new Failures(cells, tickMs, damage);
  const outbox = new BucketOutbox({ cells, rows, telling, failures, damage, tickMs });
  return {
    ...{ gates, links, tags, manifests, names, filled, outbox, telling, rows, failures },
    lists: new BucketLists({ cells, gates, manifests, names }),
    condemned: new BucketCondemned({ cells, gates, links, telling, database, generation: last.generation }),
    succession: new BucketSuccession(cells),
    documents: new BucketDocuments(cells),
    adopt: new BucketAdopt({ links, manifests, tags, names, outbox, rows }),
  };
}
