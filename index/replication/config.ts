/**
 * `replicate:` of an index's configuration: other clusters and registries, and what goes there (docs/replication.md).
 *
 * Rule: what could send a write round in a circle without versions to end it is refused here: a plain registry that this
 *   index also reads, names that change on the way between clusters.
 */

import * as z from 'zod';
import { repositoryPatternsMeet, repositoryPatternValid } from '../../core/oci/pattern.ts';
import {
  type ReplicationRule,
  remotesMax,
  replicationRulesMax,
  rulesOverlap,
  tagPatternValid,
} from '../../core/replicate/rules.ts';
import type { BackendRule } from '../../platform/backends/config.ts';
import { type RegistrySettings, registryProblems, registrySchema } from '../../platform/backends/registry/config.ts';
import { webTls } from '../../platform/backends/web/config.ts';
import { baseUrl, duration, rate, size } from '../../platform/config/units.ts';

const patternsMax = 1000;
const nameLengthMax = 64;
/** Each holds a slot of memory here, and a connection there. */
const concurrencyMax = 64;
const { credentials, namespace } = registrySchema.shape;

const secret = z.string().min(16, 'is a secret of two clusters: at least 16 characters').max(4096);
/** What most things in front of a registry let through; what was cut is gone on with in any case. */
const chunkBytesDefault = 64 * 1024 * 1024;

const remote = z
  .strictObject({
    /** Of its proxies, or of what is in front of them. */
    url: baseUrl(),
    /** shoal: another cluster, which is told versions; registry: any other, which goes one way. */
    kind: z.enum(['shoal', 'registry']).prefault('shoal'),
    /** Of a Shoal: what its proxies have among their `replication.receive`. */
    token: secret.optional(),
    /** Read again when it is used. */
    tokenFile: z.string().min(1).max(2048).optional(),
    credentials,
    ...webTls,
    /** Bytes of blobs to it, of this index process. Unset: no limit. */
    bandwidth: rate(undefined, { min: '1kB/s' }).optional(),
    /** Blobs on their way at once, of this index process. */
    concurrency: z.int().min(1).max(concurrencyMax).prefault(4),
    /** Of an upload: what goes in one request. */
    chunk: size(undefined, {
      min: '5MiB',
      max: '5GiB',
      why: 'as some registries keep each as a part of S3',
    }).optional(),
    /** Of a registry: what begins with `from` here begins with `to` there. */
    namespace: namespace.unwrap().optional(),
    /** A request in which no byte moves for so long has failed. */
    stall: duration('30s', { min: '1s', why: 'as a network may pause' }),
  })
  .superRefine(({ kind, token, tokenFile, namespace }, ctx) => {
    const say = (path: string, message: string): void => ctx.addIssue({ code: 'custom', path: [path], message });
    if (kind === 'registry') {
      if (token !== undefined) say('token', 'is for a Shoal: a registry has `credentials`');
      if (tokenFile !== undefined) say('tokenFile', 'is for a Shoal: a registry has `credentials`');
      return;
    }
    if ((token === undefined) === (tokenFile === undefined))
      say(
        token === undefined ? 'kind' : 'tokenFile',
        'a Shoal wants exactly one of `token` and `tokenFile` (a registry that is none: `kind: registry`)',
      );
    if (namespace !== undefined)
      say('namespace', 'is for a registry: between clusters names stay, or what comes back would go round for ever');
  });

export type RemoteSettings = z.output<typeof remote>;

const some = <S extends z.ZodType<string>>(one: S, expected: string) =>
  z.union([one.transform((text) => [text]), z.array(one).min(1).max(patternsMax)], expected);
const repositoryPattern = z
  .string()
  .refine(repositoryPatternValid, 'is no pattern of a repository: a name, `*` within a part of it, `**` for any');
const tagPattern = z.string().refine(tagPatternValid, 'is no pattern of a tag: a tag, `*` for anything in it');
const remoteName = z
  .string()
  .max(nameLengthMax)
  .regex(/^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/, 'expected letters, digits, and . _ - between them');

const rule = z.strictObject({
  repositories: some(repositoryPattern, 'expected a pattern of repositories, or a list of them').prefault('**'),
  tags: some(tagPattern, 'expected a pattern of tags, or a list of them').optional(),
  to: some(remoteName, 'expected the name of a remote, or a list of them'),
  deletes: z.boolean().prefault(false),
}) satisfies z.ZodType<ReplicationRule>;

const replicate = z.strictObject({
  remotes: z
    .record(remoteName, remote)
    .refine((remotes) => Object.keys(remotes).length <= remotesMax, `more than ${remotesMax} remotes`)
    .prefault({}),
  rules: z.array(rule).max(replicationRulesMax).prefault([]),
});

export type ReplicateConfig = z.output<typeof replicate>;

export const replicateShape = () =>
  replicate
    .superRefine((given, ctx) => {
      for (const { path, message } of [...remoteProblems(given), ...ruleProblems(given)])
        ctx.addIssue({ code: 'custom', path: [...path], message });
    })
    .optional();

type Problem = { readonly path: readonly (string | number)[]; readonly message: string };

/** As the client of a registry takes them. */
export function registrySettings(of: RemoteSettings): RegistrySettings {
  const { url, credentials, ca, clientCertificate, namespace = { from: '', to: '' } } = of;
  const { protocol, host } = new URL(url);
  const chunk = of.chunk ?? (of.kind === 'shoal' ? chunkBytesDefault : undefined);
  const more = { credentials, ca, clientCertificate, namespace, chunk };
  return { address: host, plainHttp: protocol === 'http:', ...more };
}

function remoteProblems({ remotes }: ReplicateConfig): Problem[] {
  const all = Object.entries(remotes);
  return all.flatMap(([name, { url }], i) => {
    const { pathname } = new URL(url);
    if (pathname !== '/')
      return [{ path: ['remotes', name, 'url'], message: `${url} has a path: a registry is a host, and a port` }];
    const first = all.slice(0, i).find(([, earlier]) => placeOf(earlier) === placeOf({ url }));
    if (first === undefined) return [];
    return [{ path: ['remotes', name, 'url'], message: `${url} is remote ${first[0]} too: name it once` }];
  });
}

function ruleProblems({ remotes, rules }: ReplicateConfig): Problem[] {
  return rules.flatMap((rule, i) => [
    ...rule.to.flatMap((name, at): Problem[] => {
      const path = ['rules', i, 'to', ...(rule.to.length === 1 ? [] : [at])];
      const of = remotes[name];
      if (of === undefined) return [{ path, message: `${name} is not among \`remotes\`${thereAre(remotes)}` }];
      const outside = of.kind === 'registry' ? registryProblems(registrySettings(of), rule.repositories) : [];
      return outside.map((message) => ({ path: ['rules', i, 'repositories'], message }));
    }),
    ...rules.slice(0, i).flatMap((earlier, at): Problem[] => {
      const both = rulesOverlap(rule, earlier);
      if (both === undefined) return [];
      const message = `${both.pattern} and ${both.with} of rules.${at} have repositories in common, and both go to ${both.remote}: let one rule say it`;
      return [{ path: ['rules', i, 'repositories'], message }];
    }),
  ]);
}

function thereAre(remotes: ReplicateConfig['remotes']): string {
  const names = Object.keys(remotes);
  return names.length === 0 ? ', which is empty' : `: there are ${names.join(', ')}`;
}

/** A registry that is written to by a rule, and read by this index as a backend: what comes from there would go back. */
export function circleProblems(
  { remotes, rules }: ReplicateConfig,
  backends: readonly Pick<BackendRule, 'name' | 'kind' | 'settings' | 'patterns'>[],
): Problem[] {
  const read = backends.filter(({ kind }) => kind === 'registry');
  return rules.flatMap(({ repositories, to }, i) =>
    to.flatMap((name) => {
      const of = remotes[name];
      const twice = read.find(
        ({ settings, patterns }) =>
          of !== undefined &&
          (settings as RegistrySettings).address === registrySettings(of).address &&
          repositories.some((one) => patterns.some((other) => repositoryPatternsMeet(one, other))),
      );
      if (twice === undefined) return [];
      const message = `${name} is backend ${twice.name} as well, which this index reads: a registry that knows no versions goes one way only`;
      return [{ path: ['replicate', 'rules', i, 'to'], message }];
    }),
  );
}

function placeOf({ url }: { readonly url: string }): string {
  const { protocol, host } = new URL(url);
  return `${protocol}//${host}`;
}
