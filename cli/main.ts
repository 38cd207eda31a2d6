/**
 * The command line, as a table of contents. It imports no component: it starts them.
 *
 * Exit codes: 0 done; 1 failed; 2 asked wrongly, or cannot start; 130 stopped by the user; 141 stopped because nobody
 * reads any more what is printed (of a list that is no failure).
 */

import { readFileSync } from 'node:fs';
import { Command, CommanderError, Option } from 'commander';
import { ApiError } from '../core/contracts/errors.ts';
import { blobRepository } from '../platform/clients/registry/ref.ts';
import { ROLES } from '../platform/config/common.ts';
import { ConfigError } from '../platform/config/load.ts';
import { StartError } from '../platform/lifecycle/errors.ts';
import { heedOutput } from '../platform/lifecycle/output.ts';
import { bytesOption, collect, proxyDefault, urlOption, urlsArgument, wholeOption } from './arguments.ts';
import { addCertsCommands } from './certs/commands.ts';
import { agentsMax, basePortDefault, indexesMax } from './cluster/ports.ts';
import { PartFailed } from './cluster/process.ts';
import { onStop, Stopped } from './cluster/stop-signal.ts';
import { addAccessCommands } from './commands/access/commands.ts';
import { addBlockCommands } from './commands/blocking/block.ts';
import { gc } from './commands/gc.ts';
import { get, standardOutput } from './commands/get.ts';
import { importFrom } from './commands/import.ts';
import { addBackupCommands } from './commands/index-backup.ts';
import { addMoveCommand } from './commands/index-move.ts';
import { addIndexCommands } from './commands/index-queue.ts';
import { addTrustCommand } from './commands/index-trust.ts';
import { listCommand, removeCommand } from './commands/list.ts';
import { addOriginCommands } from './commands/origins/commands.ts';
import { changePins, listPins } from './commands/pins.ts';
import { put } from './commands/put.ts';
import { addQuotaCommands } from './commands/quotas.ts';
import { reconcile } from './commands/reconcile.ts';
import { addReplicateCommands } from './commands/replicate.ts';
import { becomeRole, type CheckOptions, checkConfig, isRole, layers, type RoleStart } from './commands/role.ts';
import { membersStatus } from './commands/status.ts';
import { indexDefault, indexOfConfig } from './commands/steps.ts';
import { type UpOptions, up } from './commands/up.ts';
import { demo } from './demo/demo.ts';
import { Failure } from './failure.ts';
import { HELP } from './help.ts';
import { loginsOf } from './login.ts';
import { reachBy } from './reach.ts';

/** Where `shoal up` puts them. */
const agentDefault = 'http://127.0.0.1:16000';
const originDefault = 'http://127.0.0.1:15002';

const exitStopped = 130;

type Importing = Reconciling & { from: string; repo?: string; overwrite?: boolean };
type Reconciling = {
  config?: string;
  index?: string;
  apply?: boolean;
  json?: boolean;
  repository?: string | undefined;
  after?: string;
};

const { env } = process;
const output = heedOutput();
/** Where components ask for certificates: with one of the operator's own. */
const transport = await reachBy(env['SHOAL_TLS']).catch((error: unknown) => process.exit(failed(error)));
/** Who its user is to a registry that asks. */
const login = loginsOf(env);
const say = (line: string): void => void process.stdout.write(`${line}\n`);

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};
const program = new Command('shoal')
  .description('Distributes container images, and any other blob, to every host at line rate.')
  .version(version)
  .enablePositionalOptions()
  .addHelpText('after', HELP.shoal)
  .showHelpAfterError('(shoal --help, or shoal COMMAND --help, tells more)')
  .exitOverride();

const agentUrl = () =>
  new Option('--agent <url>', 'the agent to pull through')
    .argParser(urlOption(agentDefault))
    .default(agentDefault)
    .env('SHOAL_AGENT');
const proxyUrl = () =>
  new Option('--proxy <url>', 'the proxy to talk to')
    .argParser(urlOption(proxyDefault))
    .default(proxyDefault)
    .env('SHOAL_PROXY');
const secretFiles = () =>
  new Option('--secrets <file>', 'YAML merged over the configuration, whose values no message says; may be repeated')
    .argParser(collect)
    .default([], '');
const sets = () =>
  new Option('--set <key=value>', 'overrides one value, such as cache.budget=20GiB; may be repeated')
    .argParser(collect)
    .default([], 'none');

program
  .command('up')
  .description('the whole cluster on this machine, until Ctrl-C')
  .option('--agents <n>', `agents, 1 to ${agentsMax}`, wholeOption(1, agentsMax), 2)
  .option('--dir <dir>', 'data, configuration and logs (default: ~/.local/share/shoal)')
  .option('--base-port <port>', 'proxy; the other ports follow', wholeOption(1, 65_535), basePortDefault)
  .option('--backends <file>', 'a YAML file with `backends:`: where blobs and tags rest beyond the cluster')
  .option('--indexes <n>', `indexes on one --store, 1 to ${indexesMax}`, wholeOption(1, indexesMax), 1)
  .option('--store <url|file>', 'what the indexes share: postgres://…, or a YAML file with `store:` (default: SQLite)')
  .option('--secure', 'certificates made below the directory, and asked for by every part')
  .addHelpText('after', HELP.up)
  .action((options: Omit<UpOptions, 'env'>) => up({ ...options, env }, say));

program
  .command('demo')
  .description('a cluster, an image pushed once and pulled through every agent, a table; leaves nothing behind')
  .option('--agents <n>', `agents, 1 to ${agentsMax}`, wholeOption(1, agentsMax), 3)
  .addOption(new Option('--size <size>', 'of the image').argParser(bytesOption).default(256e6, '256MB'))
  .option('--secure', 'with certificates, which every part asks for')
  .addOption(new Option('--seed <text>', 'of the image: the same bytes again').hideHelp())
  .addOption(new Option('--kill <part@when>', 'kill -9 of a part meanwhile').hideHelp())
  .action((options: { agents: number; size: number; seed?: string; kill?: string; secure?: boolean }) => {
    output.mustFinish();
    return demo({ ...options, env, screen: process.stdout });
  });

for (const role of ROLES) {
  const command = program
    .command(role)
    .description(`one ${role}`)
    // Not a required option: it would be one of the commands below a role as well.
    .option('-c, --config <file>', 'its configuration (YAML)')
    .addOption(sets())
    .addOption(secretFiles())
    .option('--check', 'only checks the configuration')
    .action((options: RoleStart) => {
      const { config = command.error("error: required option '-c, --config <file>' not specified") } = options;
      becomeRole(role, ['--config', config, ...layers(options), ...(options.check === true ? ['--check'] : [])], env);
    });
  const commanding = { finishing, stoppable, url: urlOption, say, transport };
  if (role === 'origin') addOriginCommands(command, commanding);
  if (role === 'index') {
    addIndexCommands(command, commanding);
    addBackupCommands(command, { ...commanding, env });
    addMoveCommand(command, { ...commanding, env });
    addTrustCommand(command, commanding);
  }
}

const config = program.command('config').description('configuration files');
config
  .command('check')
  .description('names every bad value and every unknown key at once, with line numbers')
  .argument('<file>')
  .addOption(sets())
  .addOption(secretFiles())
  .option(
    '--online',
    'also tries what it names: credentials, reachability, the right to write; exit code 1 where one fails',
  )
  .option('--json', 'with --online: one JSON object')
  .option('--role <role>', 'of a file that names none, such as one of `shoal up --backends`: origin')
  .action((file: string, options: CheckOptions) => checkConfig(file, options, env));
config
  .command('schema')
  .description(`the JSON Schema of a role: ${ROLES.join(', ')}`)
  .argument('<role>')
  .action((role: string) => {
    if (!isRole(role)) throw new StartError(`there is no role "${role}": choose of ${ROLES.join(', ')}`);
    becomeRole(role, ['--schema'], env);
  });

program
  .command('get')
  .description('fetches a blob into a file, or an image into an OCI layout directory')
  .argument('<ref-or-digest>', 'sha256:…, library/app:1 or library/app@sha256:…')
  .option(
    '-o, --output <file>',
    'file, or a directory to put it into; - for standard output; for an image, the directory',
  )
  .addOption(agentUrl())
  .addHelpText('after', HELP.get)
  .action((target: string, options: { output?: string; agent: string }) =>
    finishing(async (signal) => {
      const { stderr, stdout } = process;
      const line = await get({ ...options, target, signal, stdout, screen: stderr, login });
      if (options.output === standardOutput) stderr.write(`${line}\n`);
      else say(line);
    }),
  );

program
  .command('put')
  .description('stores any file as a blob, with --tag also under a name')
  .argument('<file>')
  .option('--repo <name>', 'repository', blobRepository)
  .option('--tag <tag>', 'tag')
  .addOption(proxyUrl())
  .addHelpText('after', HELP.put)
  .action((file: string, options: { repo: string; tag?: string; proxy: string }) =>
    finishing(async (signal) => say(await put({ ...options, file, signal, screen: process.stderr, login }))),
  );

program
  .command('ls')
  .description('lists repositories, or the tags of one')
  .argument('[repo]')
  .addOption(proxyUrl())
  .addHelpText('after', HELP.ls)
  .action((repo: string | undefined, { proxy }: { proxy: string }) =>
    stoppable(async (signal) => {
      for await (const line of listCommand(repo, { proxy, signal, login })) say(line);
    }),
  );

program
  .command('rm')
  .description('removes a tag, a manifest or a blob')
  .argument('<ref-or-digest>')
  .option('--repo <name>', `of a blob (default: ${blobRepository})`)
  .addOption(proxyUrl())
  .addHelpText('after', HELP.rm)
  .action((what: string, { repo, proxy }: { repo?: string; proxy: string }) =>
    finishing(async (signal) => say(await removeCommand(what, repo, { proxy, signal, login }))),
  );

program
  .command('status')
  .description('whom processes call: members, their ids, weights and health, and where they do not agree')
  .argument('[urls...]', 'proxies, origins, trackers, agents (their admin port); default: --proxy', urlsArgument)
  .addOption(proxyUrl())
  .option('--json', 'JSON in place of text')
  .addHelpText('after', HELP.status)
  .action((urls: readonly string[], { proxy, json = false }: { proxy: string; json?: boolean }) => {
    const asked = urls.length === 0 ? [proxy] : urls;
    return stoppable((signal) => membersStatus({ urls: asked, json, signal, transport }, say));
  });

const pinning = program.command('pin').description('what agents and origins keep in any case');
pinning
  .command('ls')
  .description('their pins, and whether all of each is there (exit code 1 where it is not)')
  .argument('<urls...>', 'agents (their admin port), origins', urlsArgument)
  .option('--json', 'JSON in place of text')
  .addHelpText('after', HELP.pin)
  .action((urls: readonly string[], { json = false }: { json?: boolean }) =>
    stoppable((signal) => listPins({ urls, json, signal, transport }, say)),
  );
for (const what of ['add', 'remove'] as const)
  pinning
    .command(what)
    .description(
      what === 'add'
        ? 'adds a pin to running processes, which keep it over restarts; agents fetch what lacks of an image'
        : 'removes a pin that was added; those of a configuration are removed there',
    )
    .argument('<pin>', 'repository:tag, sha256:…, or a pattern of repositories')
    .argument('<urls...>', 'agents (their admin port), origins', urlsArgument)
    .option('--json', 'JSON in place of text')
    .action((pin: string, urls: readonly string[], { json = false }: { json?: boolean }) =>
      stoppable((signal) => changePins({ urls, json, signal, pin, what, transport }, say)),
    );

addCertsCommands(
  program.command('certs').description('certificates of a cluster that has no authority of its own'),
  say,
);

program
  .command('gc')
  .description('what nothing refers to any more: what would go of index and origins, or, with --now, goes at once')
  .option('-c, --config <file>', 'the configuration of the index: where it listens')
  .addOption(
    new Option('--index <url>', `or the index itself (default: "${indexDefault}", env: SHOAL_INDEX)`)
      .argParser(urlOption(indexDefault))
      .conflicts('config'),
  )
  .addOption(
    new Option('--origin <url...>', `an origin, and all that it knows (default: "${originDefault}")`)
      // No default of commander's: what is named would be added to it.
      .argParser(urlsArgument)
      .env('SHOAL_ORIGIN'),
  )
  .option('--dry-run', 'only says what would go: the default')
  .addOption(new Option('--now', 'has it go').conflicts('dryRun'))
  .option('--json', 'a JSON object a line')
  .addHelpText('after', HELP.gc)
  .action(({ origin = [originDefault], now = false, ...given }: Reconciling & { origin?: string[]; now?: boolean }) =>
    stoppable((signal) => {
      return gc({ ...steppingOf(given, signal), origins: origin, now }, say);
    }),
  );

addBlockCommands(program, { finishing, stoppable, url: urlOption, say, transport });

addQuotaCommands(program.command('quota').description('what repositories may hold, and what they do'), {
  ...{ finishing, stoppable, url: urlOption, say, transport },
});

stepping('reconcile', 'compares an index with its backends, and brings back what it lacks')
  .addHelpText('after', HELP.reconcile)
  .action((given: Reconciling) => stoppable((signal) => reconcile(steppingOf(given, signal), say)));

stepping('import', 'brings into an index what Kraken or a Docker registry left in a backend')
  .requiredOption('--from <backend>', "the backend's name in the rules of the index")
  .addOption(new Option('--repo <pattern>', 'the same as --repository').conflicts('repository'))
  .option('--overwrite', 'tags that are here already as well')
  .addHelpText('after', HELP.import)
  .action((given: Importing) =>
    stoppable((signal) => {
      const { from: backend, repo, overwrite = false } = given;
      const options = steppingOf({ ...given, repository: repo ?? given.repository }, signal);
      return importFrom({ ...options, backend, overwrite }, say);
    }),
  );

addAccessCommands(program.command('access').description('who may pull, push and delete'), {
  ...{ finishing, stoppable, url: urlOption, say, transport, env },
});

addReplicateCommands(program, { finishing, stoppable, url: urlOption, say, transport });

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = failed(error);
}

/** A command that an index does a step at a time. */
function stepping(name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .option('-c, --config <file>', 'the configuration of the index: where it listens')
    .addOption(
      // commander is not told of the environment: it would be in conflict with --config, which wins over it.
      new Option('--index <url>', `or the index itself (default: "${indexDefault}", env: SHOAL_INDEX)`)
        .argParser(urlOption(indexDefault))
        .conflicts('config'),
    )
    .option('--dry-run', 'only says what would be done: the default')
    .addOption(new Option('--apply', 'does it').conflicts('dryRun'))
    .option('--repository <pattern>', "only these: library/app, 'team-a/**'")
    .option('--after <place>', 'goes on where a run that broke off stood')
    .option('--json', 'a JSON object a line, the sums last');
}

function steppingOf(
  { config, index: named, apply = false, json = false, repository, after }: Reconciling,
  signal: AbortSignal,
) {
  const index = config === undefined ? (named ?? indexOfEnvironment()) : indexOfConfig(config, env);
  return { index, apply, json, repository, after, signal, transport, screen: process.stderr };
}

function indexOfEnvironment(): string {
  try {
    return urlOption(indexDefault)(env['SHOAL_INDEX'] ?? indexDefault);
  } catch (error) {
    throw new StartError(`SHOAL_INDEX: ${(error as Error).message}`);
  }
}

/** Says what went wrong, in one line where it is foreseen; returns the exit code. */
function failed(error: unknown): number {
  // commander has spoken already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (output.broken) return output.exitCode;
  const message = error instanceof Error ? error.message : String(error);
  const foreseen = [StartError, ConfigError, Failure, PartFailed, Stopped, ApiError].some(
    (kind) => error instanceof kind,
  );
  const system = error instanceof Error && 'syscall' in error;
  const code = error instanceof ApiError ? ` (${error.code})` : '';
  // A full disk, a directory that may not be written: the system's own words name the file and the reason.
  process.stderr.write(
    foreseen || system ? `shoal: ${message}${code}\n` : `shoal: ${error instanceof Error ? error.stack : message}\n`,
  );
  if (error instanceof Stopped) return exitStopped;
  return error instanceof StartError || error instanceof ConfigError ? 2 : 1;
}

/** Ctrl-C ends the transfer in an orderly way; what arrived stays to go on with. */
async function stoppable(act: (signal: AbortSignal) => Promise<void>): Promise<void> {
  using stop = onStop(() => process.exit(exitStopped));
  await act(stop.first);
}

/** The same, of what is not done before its end. */
async function finishing(act: (signal: AbortSignal) => Promise<void>): Promise<void> {
  output.mustFinish();
  await stoppable(act);
}
