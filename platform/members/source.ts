/**
 * One entry of a list of members, as a configuration writes it: a URL, or where DNS tells of them.
 *
 * `http://host:port` is one member. `dns+http://name:port` is one at each address (A and AAAA) of the name. What
 * `srv+http://_service._proto.name` answers (SRV) are members with ports, weights and priorities of their own. With `https`
 * the certificate of each is to be that of the name, or of the target of SRV.
 */

import { isIP } from 'node:net';
import { membersMax, memberUrlValid } from '../../core/contracts/members.ts';
import { finite, listOf, optional, type Parser, parse, record, text, textThat } from '../../core/contracts/parse.ts';
import type { ListedMember } from './list.ts';

export type DnsSource = {
  readonly kind: 'addresses' | 'services';
  /** As it is written. */
  readonly text: string;
  readonly scheme: 'http' | 'https';
  readonly name: string;
  /** Of addresses. */
  readonly port: number;
  /** '' or as in `/shoal`. */
  readonly path: string;
};
export type MemberSource = { readonly kind: 'url'; readonly url: string } | DnsSource;

/** What DNS may name: letters, digits, hyphens, and underscores in services. */
const namePattern =
  /^(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.?$/;
const dnsPattern = /^(dns|srv)\+(https?):\/\/([^/:?#]+)(?::(\d{1,5}))?((?:\/[A-Za-z0-9._~%-]+)*)\/?$/;
const servicePattern = /^_[^.]+\._(?:tcp|udp)\../;
const portMax = 65_535;
/** A name and a port. */
const nameCharsMax = 260;

/** undefined: it is none. A URL is taken as it is: whoever configures it has checked it. */
export function sourceOf(text: string): MemberSource | undefined {
  const match = dnsPattern.exec(text);
  if (match === null) return /^https?:\/\//.test(text) ? { kind: 'url', url: text } : undefined;
  const [, how, scheme, host = '', port, path = ''] = match;
  const name = host.toLowerCase();
  if (!namePattern.test(name) || isIP(name) !== 0) return undefined;
  const parts = { text, scheme: scheme as 'http' | 'https', name, path };
  if (how === 'srv') {
    return port === undefined && servicePattern.test(name) ? { ...parts, kind: 'services', port: 0 } : undefined;
  }
  const number = Number(port ?? (scheme === 'https' ? 443 : 80));
  return number > 0 && number <= portMax ? { ...parts, kind: 'addresses', port: number } : undefined;
}

const listed: Parser<readonly ListedMember[]> = listOf(
  record({
    url: textThat(memberUrlValid, 'is no URL'),
    host: optional(text(nameCharsMax)),
    weight: finite,
    priority: finite,
  }),
  membersMax,
);

/** As they were written to a file; undefined: not like that. */
export function listedIn(value: unknown): readonly ListedMember[] | undefined {
  const read = parse(listed, value, 'members');
  return read.ok ? read.value : undefined;
}
