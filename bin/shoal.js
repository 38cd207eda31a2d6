#!/usr/bin/env node
/**
 * The executable. Plain JavaScript for Node 20: finds Node 24 and runs the command line with it.
 *
 * Rule 1: a Node that is new enough runs the command line in this very process (the demo after exec, with its flags).
 * Rule 2: otherwise the Node 24 that came with the package does, with this process passing signals and exit code on.
 */

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import module, { createRequire } from 'node:module';
import { arch, constants, platform } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const nodeMajorMin = 24;
/**
 * The demo promises that no process takes more than 200 MiB: V8 then frees dead socket buffers every 2 MiB, not
 * every 64, and glibc keeps two arenas, not one a thread (measured, the largest of six runs: 177 MiB; 205 with 4 for 1,
 * 211 with neither).
 */
const smallProcess = { flags: ['--max-semi-space-size=1'], env: { MALLOC_ARENA_MAX: '2' } };

// A checkout has the sources; the published package has them with the types stripped.
const source = new URL('../cli/main.ts', import.meta.url);
const main = existsSync(source) ? source : new URL('../dist/cli/main.js', import.meta.url);

// Compiled code is kept where a part of the cluster keeps its own (platform/lifecycle/launch.ts): 0.3 s of CPU for
// `shoal --version`, 0.6 without. Where nobody may write there, nothing is kept.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('../node_modules/.cache/shoal', main));

if (Number(process.versions.node.split('.', 1)[0]) >= nodeMajorMin) {
  if (process.argv[2] === 'demo' && typeof process.execve === 'function') {
    const { flags, env } = smallProcess;
    const args = [process.execPath, ...process.execArgv, ...flags, fileURLToPath(main), ...process.argv.slice(2)];
    process.execve(process.execPath, args, { ...process.env, ...env });
  }
  module.enableCompileCache(process.env.NODE_COMPILE_CACHE);
  await import(main.href);
} else {
  const node = bundledNode();
  if (node === undefined) {
    process.stderr.write(
      `shoal needs Node ${nodeMajorMin}; this is ${process.version}, and the package node-${platform()}-${arch()} is not installed: install Node ${nodeMajorMin}, or run npm install without --omit=optional\n`,
    );
    process.exitCode = 2;
  } else {
    runWith(node);
  }
}

function bundledNode() {
  try {
    const manifest = createRequire(import.meta.url).resolve(`node-${platform()}-${arch()}/package.json`);
    const node = join(dirname(manifest), 'bin', 'node');
    return existsSync(node) ? node : undefined;
  } catch {
    return undefined;
  }
}

function runWith(node) {
  const { flags, env } = process.argv[2] === 'demo' ? smallProcess : { flags: [], env: {} };
  const args = [...flags, fileURLToPath(main), ...process.argv.slice(2)];
  const child = spawn(node, args, { stdio: 'inherit', env: { ...process.env, ...env } });
  // A terminal's Ctrl-C reaches both processes; the command line takes the two for one.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    process.stderr.write(`shoal: ${node} cannot be started: ${error.message}\n`);
    process.exitCode = 2;
  });
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)));
}
