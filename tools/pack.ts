/**
 * `npm pack` publishes a tree without types: Node runs no TypeScript under node_modules.
 *
 * As `prepack`, writes dist/ beside the sources: every product file with its types stripped and `.ts` specifiers made
 * `.js`, other files as they are, and a package.json. As `postpack` (`--clean`), removes it. The sources are only
 * read. bin/shoal.js takes cli/main.ts where it exists (a checkout) and dist/cli/main.js otherwise.
 */
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { forTestsOnly } from './tests-only.ts';

const PRODUCT = ['core', 'platform', 'agent', 'origin', 'tracker', 'index', 'proxy', 'cli', 'console'];

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');

/** Relative string literals that name a `.ts` file: imports, dynamic imports and `new URL(…, import.meta.url)`. */
const SPECIFIER = /(['"])(\.{1,2}\/[^'"\n]*)\.ts\1/g;

function strip(source: string): string {
  return stripTypeScriptTypes(source, { mode: 'strip' }).replace(
    SPECIFIER,
    (_, quote: string, path: string) => `${quote}${path}.js${quote}`,
  );
}

async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(join(root, folder), { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

async function publish(file: string): Promise<void> {
  const target = join(dist, file.slice(root.length));
  await mkdir(dirname(target), { recursive: true });
  if (!file.endsWith('.ts')) return cp(file, target);
  await writeFile(target.replace(/\.ts$/, '.js'), strip(await readFile(file, 'utf8')));
}

await rm(dist, { recursive: true, force: true });
if (!process.argv.includes('--clean')) {
  const files = (await Promise.all(PRODUCT.map(filesUnder)))
    .flat()
    .filter((file) => !forTestsOnly(file.slice(root.length)));
  for (const file of files) await publish(file);
  const { name, version, type } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  await writeFile(join(dist, 'package.json'), `${JSON.stringify({ name, version, type }, null, 2)}\n`);
  process.stderr.write(`dist/: ${files.length} files without types\n`);
}
