/**
 * The frame of every component's `main.ts`: command line, configuration, log, metrics, signals, exit code.
 *
 * Rule 1: on SIGTERM, SIGINT, or when the supervisor goes away, what is under way may finish (drain.ts), and then
 *         what `run` put on the stack is closed in reverse order. `shutdown` is the time for all of it; then the
 *         process ends anyway, as the platform would end it. A second signal ends it at once.
 * Rule 2: a failure to start is one line on standard error and exit code 2; a Bug or any other uncaught error
 *         is logged as fatal, exit code 1.
 * Rule 3: the environment comes from `main.ts`: `runRole({ role, schema, env: process.env, run })`.
 */

import { flushCompileCache } from 'node:module';
import { parseArgs } from 'node:util';
import type * as z from 'zod';
import type { CommonConfig, Role } from '../config/common.ts';
import { ConfigError, jsonSchema, loadConfig } from '../config/load.ts';
import type { Env } from '../config/yaml.ts';
import type { Secure } from '../secure/secure.ts';
import { createLog, type Logger } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { unsaid } from '../telemetry/unsaid.ts';
import type { ReadyMessage } from './child.ts';
import { Drain } from './drain.ts';
import { StartError } from './errors.ts';
import type { ConfigFollowed, ConfigFollowedOptions } from './followed.ts';
import { heedOutput } from './output.ts';
import { type OnlineProof, proofJson, proofLines } from './proof.ts';

export type RoleContext<C> = {
  readonly role: Role;
  readonly config: C;
  /** As `main.ts` gave it. */
  readonly env: Env;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly drain: Drain;
  /** Where `tls` is set. */
  readonly secure?: Secure | undefined;
  /** Gets every later configuration of the same files, for what may change under a process that runs. */
  readonly followed?: ((apply: (config: unknown) => void) => Promise<void>) | undefined;
};
/** Ports that the role listens on, by name, e.g. { api: 15002, peer: 15001 }. */
export type Running = { readonly ports: Readonly<Record<string, number>> };
export type RoleOptions<C extends CommonConfig> = {
  readonly role: Role;
  readonly schema: z.ZodType<C>;
  readonly env: Env;
  readonly run: (context: RoleContext<C>, stack: AsyncDisposableStack) => Promise<Running>;
  /** What of it lies in files of its own and cannot be used: throws StartError. A start finds it out by itself. */
  readonly checked?: (config: C) => Promise<void>;
  /** What of a configuration is allowed, and probably not meant: a line each. Default: nothing. */
  readonly odd?: (config: C) => readonly string[];
  /** What of a configuration cannot be known without reaching others. Default: nothing. */
  readonly prove?: (config: C, env: Env) => Promise<readonly OnlineProof[]>;
  /** Default: those of the process. */
  readonly argv?: readonly string[];
};

const exitStart = 2;
const exitCrash = 1;
/** Two signals within this are one. */
const sameSignalMs = 200;
/** Whoever starts the cluster again at once needs the ports. */
const orphanMsMax = 5_000;
/** Of the time to stop, what closing takes at most: goodbyes to peers and trackers, files, the database. */
const closingMsMax = 3_000;
const closingShare = 0.25;

/** Runs the role until it is told to stop. Never rejects: every end is an exit code. */
export async function runRole<C extends CommonConfig>(options: RoleOptions<C>): Promise<void> {
  try {
    const flags = readFlags(options.argv ?? process.argv.slice(2));
    if (flags.schema) return print(JSON.stringify(jsonSchema(options.schema), null, 2));
    if (flags.config === undefined) throw new StartError(`${options.role}: --config FILE is needed`);
    const { config: file, set: sets, secrets } = flags;
    const load = () => loadConfig({ ...options, file, sets, secrets });
    const loaded = load();
    const { config } = loaded;
    const warnings = [...loaded.warnings, ...(options.odd?.(config) ?? [])];
    if (flags.check) {
      for (const warning of [...warnings, ...(await certificatesChecked(config))]) process.stderr.write(`${warning}\n`);
      await options.checked?.(config);
      if (flags.online) return await proved(options, flags.config, { config, json: flags.json });
      return print(`${flags.config}: right, for role ${options.role}`);
    }
    const log = createLog({ role: options.role, level: config.log.level, name: config.name });
    for (const warning of warnings) log.warn({ config: warning }, 'configuration');
    const metrics = new Metrics({ processDefaults: true });
    const secure = await securedBy(config, { log, metrics });
    const { role, env } = options;
    const followed = following({ loaded, load, rest: unfollowed, log });
    await runUntilStopped(options, { role, config, env, log, metrics, drain: new Drain(), secure, followed });
  } catch (error) {
    if (!(error instanceof StartError || error instanceof ConfigError)) throw error;
    process.stderr.write(`${unsaid(error.message)}\n`);
    process.exit(exitStart);
  }
}

/** Nothing of it is loaded, and no file looked at, where nothing is followed. */
function following(options: ConfigFollowedOptions): NonNullable<RoleContext<unknown>['followed']> {
  let followed: ConfigFollowed | undefined;
  return async (apply) => {
    const { ConfigFollowed } = await import('./followed.ts');
    followed ??= new ConfigFollowed(options);
    followed.follow(apply);
  };
}

/** A configuration without what doors follow (host/door.ts). */
const unfollowed = (config: unknown): string =>
  JSON.stringify(config, (key, value) => (key === 'allow' ? undefined : value));

/** Nothing of certificates is loaded where there are none. Throws StartError. */
async function securedBy(
  { role, cluster, tls }: CommonConfig,
  { log, metrics }: Pick<RoleContext<unknown>, 'log' | 'metrics'>,
): Promise<Secure | undefined> {
  if (tls === undefined) {
    log.info('`tls` is not set: whoever reaches a port of this process is believed, and what it says is not encrypted');
    return undefined;
  }
  const { Secure: Opened } = await import('../secure/secure.ts');
  return new Opened({ files: tls, holder: { role, cluster }, log, metrics });
}

/** Of the files that `tls` names: warnings. Throws StartError. */
async function certificatesChecked({ role, cluster, tls }: CommonConfig): Promise<readonly string[]> {
  if (tls === undefined) return [];
  const { readMaterial } = await import('../certs/material.ts');
  const found = readMaterial(tls, { role, cluster }, Date.now());
  if ('identity' in found) return found.warningsAt(Date.now());
  throw new StartError(found.join('\n'));
}

/** Prints what was tried beyond the configuration; exit code 1 where something of it failed. */
async function proved<C extends CommonConfig>(
  { role, prove, env }: RoleOptions<C>,
  file: string,
  { config, json }: { readonly config: C; readonly json: boolean },
): Promise<void> {
  const proofs = (await prove?.(config, env)) ?? [];
  print(json ? proofJson(file, role, proofs) : [`${file}: right, for role ${role}`, ...proofLines(proofs)].join('\n'));
  if (proofs.some(({ problem }) => problem !== undefined)) process.exitCode = exitCrash;
}

type Flags = {
  config?: string | undefined;
  /** Files of values that are secrets. */
  secrets: string[];
  set: string[];
  check: boolean;
  schema: boolean;
  /** With `check`. */
  online: boolean;
  /** With `online`. */
  json: boolean;
};

function readFlags(argv: readonly string[]): Flags {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        config: { type: 'string', short: 'c' },
        secrets: { type: 'string', multiple: true },
        set: { type: 'string', multiple: true },
        check: { type: 'boolean' },
        schema: { type: 'boolean' },
        online: { type: 'boolean' },
        json: { type: 'boolean' },
      },
    });
    return {
      config: values.config,
      secrets: values.secrets ?? [],
      set: values.set ?? [],
      check: values.check === true,
      schema: values.schema === true,
      online: values.online === true,
      json: values.json === true,
    };
  } catch (error) {
    throw new StartError((error as Error).message);
  }
}

function print(line: string): void {
  heedOutput();
  process.stdout.write(`${unsaid(line)}\n`);
}

async function runUntilStopped<C extends CommonConfig>(
  options: RoleOptions<C>,
  context: RoleContext<C>,
): Promise<void> {
  const { log, config } = context;
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'uncaught error: the process ends');
    process.exit(exitCrash);
  });
  const stack = new AsyncDisposableStack();
  const stopping = stopSignal(log, config.shutdown);
  const started = await Promise.race([start(options, context, stack), stopping.then(() => undefined)]);
  if (started !== undefined) {
    log.info({ ports: started.ports, pid: process.pid }, 'ready');
    tellSupervisor({ ready: true, role: options.role, ports: started.ports });
    // Where NODE_COMPILE_CACHE names a directory: a process that is killed later leaves its part of it, too.
    flushCompileCache();
    await drained(context, await stopping);
  }
  await stack.disposeAsync();
  log.info('stopped');
  process.exit(0);
}

/** Lets what is under way finish; what does not in time is cut, and named. */
async function drained<C extends CommonConfig>({ drain, log }: RoleContext<C>, stopMs: number): Promise<void> {
  const begun = performance.now();
  drain.start();
  const left = await drain.finished(stopMs - Math.min(closingMsMax, stopMs * closingShare));
  const ms = Math.round(performance.now() - begun);
  if (Object.keys(left).length === 0) log.info({ ms }, 'nothing is under way any more');
  else log.warn({ ms, cut: left }, 'cut: this did not finish in time');
  drain.cut();
}

async function start<C extends CommonConfig>(
  options: RoleOptions<C>,
  context: RoleContext<C>,
  stack: AsyncDisposableStack,
): Promise<Running> {
  try {
    return await options.run(context, stack);
  } catch (error) {
    // What was built before the failure is closed as far as it can be; the failure is what counts.
    await stack
      .disposeAsync()
      .catch((closing: unknown) => context.log.warn({ err: closing }, 'closing after a failed start'));
    throw error;
  }
}

function tellSupervisor(message: ReadyMessage): void {
  if (process.connected === true) process.send?.(message);
}

/** Resolves on the first signal, with the time that there is, and starts the clock; a second ends the process at once. */
function stopSignal(log: Logger, shutdownMs: number): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  let stopping = false;
  let firstMs = 0;
  const stop = (reason: string, limitMs = shutdownMs) => {
    // Ctrl-C under npm or a wrapper arrives twice: once from the terminal, once passed on.
    if (stopping && performance.now() - firstMs < sameSignalMs) return;
    if (stopping) {
      log.warn({ reason }, 'told to stop again: ending at once');
      process.exit(exitCrash);
    }
    stopping = true;
    firstMs = performance.now();
    log.info({ reason, limitMs }, 'stopping');
    setTimeout(() => {
      log.warn({ limitMs }, 'what runs did not finish within the limit: ending');
      process.exit(exitCrash);
    }, limitMs).unref();
    resolve(limitMs);
  };
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
  // The supervisor is gone, perhaps by kill -9: nobody would ever stop this process.
  process.once('disconnect', () => {
    if (!stopping) stop('supervisor gone', Math.min(shutdownMs, orphanMsMax));
  });
  return promise;
}
