/**
 * What somebody signed about an image, as cosign writes it: its simple-signing payload, or an in-toto statement in a DSSE
 * envelope.
 *
 * Rule 1: nothing here is believed before its signature is right; what cannot be read claims nothing.
 * Rule 2: a claim is of a digest. A payload names a reference as well, most often without a tag; a statement names none.
 */

import { tagValid } from '../oci/name.ts';

export type Claim = {
  /** Of the manifest. */
  readonly digests: readonly string[];
  /** As it was said when it was signed: `host:port/team/app`, or with a tag. */
  readonly reference?: string | undefined;
};

/** A host, a repository, a tag and a digest are shorter; it is compared with patterns. */
const referenceLengthMax = 1024;

type Fields = Readonly<Record<string, unknown>>;

const payloadTypes: ReadonlySet<unknown> = new Set(['cosign container image signature', 'atomic container signature']);
export const statementType = 'application/vnd.in-toto+json';
/** Other predicates are attestations: they say something about an image, not that it may be used. */
const signedPredicate = 'https://sigstore.dev/cosign/sign/v1';

/** Of a payload of the type simple signing. */
export function claimOfPayload(bytes: Uint8Array): Claim | undefined {
  const critical = fieldsIn(fieldsIn(jsonOf(bytes))?.['critical']);
  if (critical === undefined || !payloadTypes.has(critical['type'])) return undefined;
  const digest = fieldsIn(critical['image'])?.['docker-manifest-digest'];
  if (typeof digest !== 'string') return undefined;
  const reference = fieldsIn(critical['identity'])?.['docker-reference'];
  if (reference === undefined || reference === '') return { digests: [digest] };
  if (typeof reference !== 'string' || reference.length > referenceLengthMax) return undefined;
  return { digests: [digest], reference };
}

/** Of the statement in an envelope. */
export function claimOfStatement(bytes: Uint8Array): Claim | undefined {
  const statement = fieldsIn(jsonOf(bytes));
  if (statement?.['predicateType'] !== signedPredicate || !Array.isArray(statement['subject'])) return undefined;
  const digests = statement['subject'].flatMap((subject: unknown) =>
    Object.entries(fieldsIn(fieldsIn(subject)?.['digest']) ?? {}).map(([algorithm, hex]) => `${algorithm}:${hex}`),
  );
  return { digests };
}

/** What of an envelope is signed: DSSE's pre-authentication encoding. */
export function signedOfEnvelope(payloadType: string, payload: Uint8Array): Uint8Array {
  const text = new TextEncoder();
  const type = text.encode(payloadType);
  const head = text.encode(`DSSEv1 ${type.length} ${payloadType} ${payload.length} `);
  const signed = new Uint8Array(head.length + payload.length);
  signed.set(head);
  signed.set(payload, head.length);
  return signed;
}

/** The repository of a reference, without host, tag and digest; and its tag. */
export function partsOfReference(reference: string): { readonly repo: string; readonly tag: string | undefined } {
  const named = reference.split('@', 1)[0] ?? '';
  const colon = named.lastIndexOf(':');
  const tagged = colon > named.lastIndexOf('/') && tagValid(named.slice(colon + 1)) && named.includes('/');
  const name = tagged ? named.slice(0, colon) : named;
  const slash = name.indexOf('/');
  const first = name.slice(0, Math.max(slash, 0));
  const repo = /[.:]/.test(first) || first === 'localhost' ? name.slice(slash + 1) : name;
  return { repo, tag: tagged ? named.slice(colon + 1) : undefined };
}

export function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}

export function fieldsIn(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
}
