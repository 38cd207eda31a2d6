/** A process that writes tags until it is killed, and tells its parent of each one once it is acknowledged. */

import { openSqliteTags } from './sqlite.ts';

const [file] = process.argv.slice(2) as [string];
const store = openSqliteTags({
  file,
  onBroken: (error) => {
    throw error;
  },
});

async function write(no: number): Promise<void> {
  const digest = `sha256:${no.toString(16).padStart(64, '0')}` as Parameters<typeof store.putManifest>[1];
  await store.putManifest(
    `r${no % 5}`,
    digest,
    {
      mediaType: 'm',
      size: no,
      tags: [`t${no}`],
      blobs: [],
      manifests: [],
    },
    0,
  );
  process.send?.(no);
}

for (let no = 0; ; no += 8) await Promise.all(Array.from({ length: 8 }, (_, i) => write(no + i)));
