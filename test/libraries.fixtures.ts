/** For tests: which packages a process loads, and this tree without some of them. */

import { readdirSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const modules = join(root, 'node_modules');
/** What runs a part of the product is made of it; tests, tools and pictures are not. */
const needless = ['node_modules', 'dist', 'docs', 'helm', 'examples', 'coverage'];

/** A flag for Node that notes in `file` what is loaded, by whichever thread. */
export function noting(file: string): string {
  const code = [
    "import { registerHooks } from 'node:module';",
    "import { appendFileSync } from 'node:fs';",
    `const file = ${JSON.stringify(file)};`,
    "registerHooks({ load(url, about, next) { appendFileSync(file, url + '\\n'); return next(url, about); } });",
  ];
  return `--import=data:text/javascript,${encodeURIComponent(code.join(' '))}`;
}

export type Loaded = { readonly packages: readonly string[]; readonly files: readonly string[] };

/** The packages that were loaded, and our own files. */
export async function loadedBy(file: string): Promise<Loaded> {
  const paths = (await readFile(file, 'utf8'))
    .split('\n')
    .filter((line) => line.startsWith('file:'))
    .map((line) => relative(root, fileURLToPath(line)));
  const packages = paths.flatMap(
    (path) => /^(?:.*\/)?node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.slice(1, 2) ?? [],
  );
  const own = paths.filter((path) => !path.includes('node_modules/'));
  return { packages: [...new Set(packages)].toSorted(), files: [...new Set(own)].toSorted() };
}

/** This tree in a temporary place, with all installed packages but those. It goes with the stack. */
export async function copiedTree(stack: AsyncDisposableStack, without: readonly string[] = []): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), 'shoal-tree-'));
  stack.defer(() => rm(copy, { recursive: true, force: true, maxRetries: 3 }));
  const filter = (path: string): boolean => path === root || !basename(path).startsWith('.');
  for (const name of readdirSync(root))
    if (!name.startsWith('.') && !needless.includes(name))
      await cp(join(root, name), join(copy, name), { recursive: true, filter });
  await linkPackages(modules, join(copy, 'node_modules'), without);
  return copy;
}

async function linkPackages(from: string, to: string, without: readonly string[]): Promise<void> {
  await mkdir(to);
  for (const name of readdirSync(from)) {
    if (without.includes(name) || name === '.cache') continue;
    const within = without.filter((one) => one.startsWith(`${name}/`)).map((one) => one.slice(name.length + 1));
    if (within.length > 0) await linkPackages(join(from, name), join(to, name), within);
    else await symlink(join(from, name), join(to, name));
  }
}
