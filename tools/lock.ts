/**
 * Completes package-lock.json with the optional packages of other platforms.
 *
 * npm leaves out of the lockfile what its registry did not serve when it was written, as mirrors do with packages for
 * other systems, and `npm ci` then refuses the lockfile. Such an entry needs no more than its version and platform:
 * npm skips it where it does not fit. `node tools/lock.ts` after `npm install`; test/tidy.test.ts finds what is lacking.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

type Entry = { version?: string; dev?: boolean; optionalDependencies?: Record<string, string>; [key: string]: unknown };
export type Lock = { packages: Record<string, Entry> };

const SYSTEMS = ['android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32'];
const PROCESSORS = ['arm', 'arm64', 'ia32', 'loong64', 'ppc64', 's390x', 'riscv64', 'x64'];

/** Optional packages, pinned to one version, that the lockfile has no entry for: [path, entry]. */
export function lacking(lock: Lock): [string, Entry][] {
  const found: [string, Entry][] = [];
  for (const [parent, { optionalDependencies = {}, dev }] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(optionalDependencies)) {
      const present = [`node_modules/${name}`, `${parent}/node_modules/${name}`].some((path) => path in lock.packages);
      if (present || !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)) continue;
      found.push([`node_modules/${name}`, entryOf(name, version, dev === true)]);
    }
  }
  return found;
}

function entryOf(name: string, version: string, dev: boolean): Entry {
  const words = name.split(/[/-]/);
  const libc = words.includes('musl') ? ['musl'] : words.includes('gnu') ? ['glibc'] : [];
  return {
    version,
    cpu: PROCESSORS.filter((processor) => words.includes(processor)),
    ...(dev ? { dev } : {}),
    ...(libc.length > 0 ? { libc } : {}),
    optional: true,
    os: SYSTEMS.filter((system) => words.includes(system)),
  };
}

if (import.meta.main) {
  const file = fileURLToPath(new URL('../package-lock.json', import.meta.url));
  const lock: Lock = JSON.parse(await readFile(file, 'utf8'));
  const added = lacking(lock);
  const packages = Object.entries({ ...lock.packages, ...Object.fromEntries(added) });
  lock.packages = Object.fromEntries(packages.sort(([a], [b]) => (a < b ? -1 : 1)));
  await writeFile(file, `${JSON.stringify(lock, null, 2)}\n`);
  process.stderr.write(`package-lock.json: ${added.length} entries added\n`);
}
