/** A node's wall clock by libfaketime: what runs sees another time within a second. Its monotonic clock goes on. */
import { readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Debian keeps it by architecture. */
const libraries = '/usr/lib';
const library = 'faketime/libfaketimeMT.so.1';
const rereadSeconds = 1;

function find(): string {
  const path = readdirSync(libraries, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name.includes('-linux-'))
    .map(({ name }) => join(libraries, name))
    .flatMap((folder) => (readdirSync(folder).includes('faketime') ? [join(folder, library)] : []))[0];
  if (path === undefined) throw new Error('libfaketime is not installed: apt-get install -y faketime');
  return path;
}

/** What a process is started with so that `setClock` of that file concerns it. */
export function clockEnv(file: string): Record<string, string> {
  return {
    LD_PRELOAD: find(),
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_CACHE_DURATION: `${rereadSeconds}`,
    DONT_FAKE_MONOTONIC: '1',
    NO_FAKE_STAT: '1',
  };
}

export async function setClock(file: string, minutesBack: number): Promise<void> {
  await writeFile(file, minutesBack === 0 ? '+0' : `-${minutesBack}m`);
}
