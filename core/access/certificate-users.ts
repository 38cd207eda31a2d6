/**
 * Certificates as users, which an authority of the users has signed, and none of the cluster's. As the document `access` has
 * them, and who somebody is by the names in one.
 *
 * Rule 1: a certificate that says two things says nothing.
 * Rule 2: who has shown one is in the group `system:certificates`, into which there is no other way: so rules may ask for one.
 */

import { closed, oneOf, optional, type Parser, textThat } from '../contracts/parse.ts';
import { nameValid, reserved } from './claims.ts';
import { namePrefix, pem } from './issuers.ts';
import type { Subject } from './rights.ts';

export type CertificateUsers = {
  /** PEM. Only what one of these has signed itself: an authority below another one is named as well. */
  readonly ca: string;
  /** PEM: with any, each authority needs a list. */
  readonly crl?: string | undefined;
  readonly user: 'cn' | 'uri' | 'email';
  readonly groups: 'ou' | 'none';
  readonly prefix: string;
  /** certificate: who pushes or deletes has shown one, whoever he is by then. */
  readonly writes: 'certificate' | 'anyhow';
};

/** Of 10,000 that are revoked: 40 bytes each, in PEM. */
const crlLengthMax = 512 * 1024;

const written = closed({
  ca: pem,
  crl: optional(
    textThat(
      (value) => value.length <= crlLengthMax && value.includes('-----BEGIN X509 CRL-----'),
      `is no list (X509 CRL) in PEM of at most ${crlLengthMax} characters`,
    ),
  ),
  user: optional(oneOf('cn', 'uri', 'email')),
  groups: optional(oneOf('ou', 'none')),
  prefix: optional(namePrefix),
  writes: optional(oneOf('certificate', 'anyhow')),
});

export const certificateUsersParser: Parser<CertificateUsers> = (value) => {
  const { user = 'cn', groups = 'ou', prefix = '', writes = 'anyhow', ...of } = written(value);
  return { ...of, user, groups, prefix, writes };
};

/** Of who has shown a certificate. */
export const certified = `${reserved}certificates`;

export type CertificateNames = {
  readonly commonNames: readonly string[];
  readonly units: readonly string[];
  readonly uris: readonly string[];
  readonly emails: readonly string[];
};

/** Text: why it is nobody. */
export function subjectOfNames(
  { user, groups, prefix }: Pick<CertificateUsers, 'user' | 'groups' | 'prefix'>,
  { commonNames, units, uris, emails }: CertificateNames,
): Subject | string {
  const [what, names] = { cn: ['CN', commonNames], uri: ['URI', uris], email: ['address of e-mail', emails] }[user] as [
    string,
    readonly string[],
  ];
  const [name] = names;
  if (names.length > 1) return `it has ${names.length} of ${what}, and may have one`;
  if (!plain(name)) return `it has no ${what} that is a name`;
  const given = groups === 'ou' ? units : [];
  if (!given.every(plain)) return 'its OU is no name';
  const named = given.map((unit) => prefix + unit).filter((group) => !group.startsWith(reserved));
  return { name: prefix + name, groups: [...new Set([...named, certified])] };
}

/** What had to be escaped where names are written with their parts might be read as another one. */
function plain(name: string | undefined): name is string {
  return nameValid(name) && !/[\\"]/.test(name);
}
