/** `shoal access issuers …` and `certificates …`: whose word for who somebody is is taken, beside passwords. */

import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parse as parseYaml, stringify, YAMLParseError } from 'yaml';
import { type CertificateUsers, certificateUsersParser } from '../../../core/access/certificate-users.ts';
import { issuersParser, type OutsideIssuer } from '../../../core/access/issuers.ts';
import { type Parser, parse } from '../../../core/contracts/parse.ts';
import { type FetchEnv, JsonFetcher } from '../../../platform/access/issuers/fetch.ts';
import { IssuerKeys } from '../../../platform/access/issuers/keys.ts';
import { StartError } from '../../../platform/lifecycle/errors.ts';
import { realClock } from '../../../platform/net/clock.ts';
import { type AskingIndex, changeAccess, readAccess } from './document.ts';
import { textOf } from './users.ts';

/** Files beside the one that names them may stand in it in place of what is in them. */
const PEMS = ['ca', 'crl'] as const;

/** All that were there before are replaced. `problems`: of issuers whose keys cannot be had from here. */
export async function setIssuers(
  asking: AskingIndex,
  file: string,
  env: FetchEnv,
): Promise<{ readonly lines: readonly string[]; readonly problems: readonly string[] }> {
  const issuers = await readFrom(file, 'issuers', issuersParser);
  await changeAccess(asking, () => ({ issuers }));
  const keys = await Promise.all(issuers.map(async (issuer) => ({ issuer, found: await keysOf(issuer, env) })));
  return {
    lines: [
      `tokens of ${issuers.length} issuer${issuers.length === 1 ? '' : 's'} are believed from now on`,
      ...keys.flatMap(({ issuer, found }) => (typeof found === 'string' ? [] : [`${issuer.issuer}: ${found} keys`])),
    ],
    problems: keys.flatMap(({ issuer, found }) =>
      typeof found === 'string' ? [`${issuer.issuer}: its keys cannot be had from this host: ${found}`] : [],
    ),
  };
}

async function keysOf(issuer: OutsideIssuer, env: FetchEnv): Promise<number | string> {
  using fetcher = new JsonFetcher({ ca: issuer.ca, env });
  const keys = new IssuerKeys(issuer, { fetch: fetcher.fetch, clock: realClock, told: { fetched: () => undefined } });
  const set = await keys.with(undefined);
  return typeof set === 'string' ? set : set.keys.length;
}

/** As a file for `set`. */
export async function showIssuers(asking: AskingIndex, json: boolean): Promise<string> {
  const { issuers } = await readAccess(asking);
  if (json) return JSON.stringify({ issuers });
  return issuers.length === 0
    ? "# there are no issuers: others' tokens are nobody's"
    : stringify({ issuers }).trimEnd();
}

export async function setCertificates(asking: AskingIndex, file: string): Promise<string> {
  const certificates = await readFrom(file, 'certificates', certificateUsersParser);
  const { UserAuthorities } = await import('../../../platform/access/certificates/users.ts');
  const found = await UserAuthorities.of(certificates, []);
  if (!(found instanceof UserAuthorities)) throw new StartError(`${file}: ${found.join('\n')}: nothing was changed`);
  await changeAccess(asking, () => ({ certificates }));
  const count = found.pems.length;
  return `certificates of ${count} ${count === 1 ? 'authority are' : 'authorities are'} users from now on`;
}

export async function dropCertificates(asking: AskingIndex): Promise<string> {
  await changeAccess(asking, () => ({ certificates: undefined }));
  return 'certificates are no users any more';
}

/** As a file for `set`. */
export async function showUserCertificates(asking: AskingIndex, json: boolean): Promise<string> {
  const { certificates } = await readAccess(asking);
  if (json) return JSON.stringify({ certificates });
  return certificates === undefined ? '# certificates are no users' : stringify({ certificates }).trimEnd();
}

/** Of the whole file, or of what stands there by that name. */
async function readFrom<T extends readonly OutsideIssuer[] | CertificateUsers>(
  file: string,
  name: string,
  parser: Parser<T>,
): Promise<T> {
  const found = await withPems(yamlIn(await textOf(file), file, name), dirname(file));
  const read = parse(parser, found, name);
  if (!read.ok) throw new StartError(`${file}: ${read.problem}: nothing was changed`);
  return read.value;
}

function yamlIn(text: string, file: string, name: string): unknown {
  try {
    const found: unknown = parseYaml(text);
    return typeof found === 'object' && found !== null && name in found ? found[name as keyof typeof found] : found;
  } catch (error) {
    if (error instanceof YAMLParseError) throw new StartError(`${file}: ${error.message}`);
    throw error;
  }
}

async function withPems(value: unknown, dir: string): Promise<unknown> {
  if (Array.isArray(value)) return await Promise.all(value.map((one) => withPems(one, dir)));
  if (typeof value !== 'object' || value === null) return value;
  const of: Record<string, unknown> = { ...value };
  for (const key of PEMS) {
    const text = of[key];
    if (typeof text === 'string' && !text.includes('-----BEGIN '))
      of[key] = await readFile(resolve(dir, text), 'utf8').catch((error: NodeJS.ErrnoException) => {
        throw new StartError(`${key}: ${text}: ${error.code === 'ENOENT' ? 'there is no such file' : error.message}`);
      });
  }
  return of;
}
