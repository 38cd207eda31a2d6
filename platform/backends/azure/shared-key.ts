/**
 * A request signed with a key of the account: "Authorize with Shared Key" of Azure's documentation, for its versions since
 * 2015-02-21. Pure.
 */

import { createHmac } from 'node:crypto';

export type Signed = {
  readonly method: string;
  readonly url: URL;
  /** In lower case. */
  readonly headers: Readonly<Record<string, string>>;
};

const inOrder = [
  ...['content-encoding', 'content-language', 'content-length', 'content-md5', 'content-type', 'date'],
  ...['if-modified-since', 'if-match', 'if-none-match', 'if-unmodified-since', 'range'],
];

/** The value of `authorization`. */
export function sharedKey({ account, key }: { account: string; key: string }, request: Signed): string {
  const signature = createHmac('sha256', Buffer.from(key, 'base64')).update(stringToSign(account, request)).digest();
  return `SharedKey ${account}:${signature.toString('base64')}`;
}

function stringToSign(account: string, { method, url, headers }: Signed): string {
  const standard = inOrder.map((name) => {
    const value = headers[name] ?? '';
    return name === 'content-length' && value === '0' ? '' : value;
  });
  const own = Object.entries(headers)
    .filter(([name]) => name.startsWith('x-ms-'))
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, value]) => `${name}:${value.trim()}\n`);
  const query = [...url.searchParams]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, value]) => `\n${name.toLowerCase()}:${value}`);
  return `${[method, ...standard].join('\n')}\n${own.join('')}/${account}${url.pathname}${query.join('')}`;
}
