/**
 * Issuers of tokens that are not ours, whose word for who somebody is is taken: OpenID providers, and Kubernetes for its
 * service accounts. As the document `access` has them.
 *
 * Rule 1: keys come over https, or from this host: whoever could change them on their way could be anybody.
 * Rule 2: `prefix` is said for each, be it empty: with none, two issuers that name an `alice` name the same one.
 */

import { closed, listOf, Malformed, optional, type Parser, text, textThat } from '../contracts/parse.ts';

export type OutsideIssuer = {
  /** As it stands in `iss`. Without `jwks` its keys are found by OpenID's discovery below it. */
  readonly issuer: string;
  /** What `aud` must name: a token for somebody else is no token for us. */
  readonly audience: string;
  readonly jwks?: string | undefined;
  /** PEM: the authority of its server, where that is none that everybody knows. */
  readonly ca?: string | undefined;
  readonly claims: {
    /** Dots lead into objects where no claim has the whole name. Default: `sub`. */
    readonly user: string;
    readonly groups: string;
  };
  /** Before the names of users and groups. */
  readonly prefix: string;
};

/** An organisation has a handful of them; a cluster of Kubernetes is one. */
export const issuersMax = 32;
const urlLengthMax = 2_048;
const claimLengthMax = 200;
const prefixLengthMax = 200;
/** A chain of authorities. */
export const pemLengthMax = 64 * 1024;

/** To which nobody between could have added anything. */
const local = /^http:\/\/(?:127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\]|localhost)(?::\d{1,5})?(?:\/[^\s?#]*)?$/;
const remote = /^https:\/\/[^\s/?#@]+(?:\/[^\s?#]*)?$/;

/** Whether keys may be fetched from there. */
export function keysUrlValid(url: string): boolean {
  return url.length <= urlLengthMax && (remote.test(url) || local.test(url));
}

export const pem: Parser<string> = textThat(
  (value) => value.length <= pemLengthMax && value.includes('-----BEGIN '),
  `is no PEM of at most ${pemLengthMax} characters`,
);
export const namePrefix: Parser<string> = textThat(
  (value) => value.length <= prefixLengthMax && !/[\p{C}\s]/u.test(value),
  `is no text of at most ${prefixLengthMax} characters without spaces (say '' where names are to be taken as they are)`,
);
const claim = text(claimLengthMax, 1);
const url = textThat(keysUrlValid, 'is no https URL (http is for this host: 127.0.0.1, [::1], localhost)');

const written = closed({
  // Of one that is found by `jwks` it is a name, as Kubernetes' may be.
  issuer: text(urlLengthMax, 1),
  audience: text(urlLengthMax, 1),
  jwks: optional(url),
  ca: optional(pem),
  claims: optional(closed({ user: optional(claim), groups: optional(claim) })),
  prefix: namePrefix,
});

const issuer: Parser<OutsideIssuer> = (value) => {
  const { claims = {}, ...of } = written(value);
  if (of.jwks === undefined && !keysUrlValid(of.issuer))
    throw new Malformed('is no https URL, below which its keys could be found: give `jwks`').in('issuer');
  return { ...of, claims: { user: claims.user ?? 'sub', groups: claims.groups ?? 'groups' } };
};

export const issuersParser: Parser<readonly OutsideIssuer[]> = listOf(issuer, issuersMax);
