/**
 * Who a certificate says that somebody is: a role in a cluster, under a name.
 *
 * Rule 1: the SPIFFE URI `spiffe://CLUSTER/ROLE/NAME` says all three. Without one, an OU that is a role and the CN say two.
 * Rule 2: a certificate that says two things says nothing: who could be two is nobody.
 */

/** Components, whoever operates them, and whoever only reads metrics. */
export const CALLER_ROLES = ['agent', 'origin', 'tracker', 'index', 'proxy', 'admin', 'monitor'] as const;
export type CallerRole = (typeof CALLER_ROLES)[number];

export type CallerIdentity = {
  /** undefined: the certificate does not say. */
  readonly cluster: string | undefined;
  readonly role: CallerRole;
  readonly name: string;
};

/** What of a certificate may say who has it. */
export type Naming = {
  readonly uris: readonly string[];
  readonly units: readonly string[];
  readonly commonName: string | undefined;
};

/** As it stands in a URI without being encoded, in a log and in a file's name. */
const wordPattern = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/;
const uriPattern = /^spiffe:\/\/([^/?#]+)\/([^/?#]+)\/([^/?#]+)$/;

export function identityWordValid(text: string): boolean {
  return wordPattern.test(text);
}

export function callerRoleOf(text: string): CallerRole | undefined {
  return CALLER_ROLES.find((role) => role === text);
}

export function identityUri({ cluster, role, name }: CallerIdentity & { readonly cluster: string }): string {
  return `spiffe://${cluster}/${role}/${name}`;
}

/** `agent/host-7`: for logs and errors. */
export function identityText({ role, name }: Pick<CallerIdentity, 'role' | 'name'>): string {
  return `${role}/${name}`;
}

/** The identity, or why there is none. */
export function identityIn({ uris, units, commonName }: Naming): CallerIdentity | string {
  const told = uris.filter((uri) => uri.startsWith('spiffe://'));
  const form = `expected a URI spiffe://CLUSTER/ROLE/NAME, ROLE one of ${CALLER_ROLES.join(', ')}`;
  if (told.length > 1) return `it has ${told.length} SPIFFE URIs, and may have one: ${told.join(', ').slice(0, 400)}`;
  const [uri] = told;
  if (uri !== undefined) return byUri(uri) ?? `its URI ${uri.slice(0, 200)} names no role: ${form}`;
  const roles = units.flatMap((unit) => callerRoleOf(unit) ?? []);
  if (roles.length > 1) return `its subject names ${roles.length} roles as OU, and may name one: ${roles.join(', ')}`;
  const [role] = roles;
  if (role === undefined) return `it names no role: ${form}, or an OU that is a role`;
  if (commonName === undefined || !identityWordValid(commonName))
    return `its OU is ${role}, and its CN is no name (letters, digits, '.', '_' and '-', 64 at most)`;
  return { cluster: undefined, role, name: commonName };
}

function byUri(uri: string): CallerIdentity | undefined {
  const [, cluster = '', roleText = '', name = ''] = uriPattern.exec(uri) ?? [];
  const role = callerRoleOf(roleText);
  if (role === undefined || !identityWordValid(cluster) || !identityWordValid(name)) return undefined;
  return { cluster, role, name };
}

/** Who is at the other end of a connection, as its certificate says, which an authority of ours has signed. */
export type VerifiedCaller = CallerIdentity & {
  /** Addresses and DNS names that the certificate is for. */
  readonly sans: readonly string[];
  /** Nobody any more after that, by the clock on the wall. */
  readonly untilMs: number;
  /** Where it called from. */
  readonly address: string;
};
