/** Requests that two readers understand differently, and paths and headers that are more than they seem. */

import { isWrong, markHeader } from '../heard.ts';
import { type Attacks, head, untilEnd } from '../target.ts';

const hidden = 'GET /shoal-smuggled HTTP/1.1\r\nhost: shoal\r\n\r\n';
const inject = `%0d%0a${markHeader}:%20yes`;
const raw = `\r\n${markHeader}: yes`;
const twoAnswers = 2;

/** Each is one request to who reads it as HTTP says, or none: never two. */
function smuggled(post: string): string[] {
  const json = 'content-type: application/json';
  const size = hidden.length;
  const chunks = `0\r\n\r\n${hidden}`;
  const te = 'transfer-encoding: chunked';
  return [
    head('POST', post, [json, `content-length: ${chunks.length}`, te]) + chunks,
    head('POST', post, [json, te, 'content-length: 4']) + chunks,
    head('POST', post, [json, 'content-length: 0', `content-length: ${size}`]) + hidden,
    head('POST', post, [json, `content-length: 0, ${size}`]) + hidden,
    head('POST', post, [json, `content-length: +${size}`]) + hidden,
    head('POST', post, [json, `content-length: 0x${size.toString(16)}`]) + hidden,
    head('POST', post, [json, 'content-length: -1']) + hidden,
    head('POST', post, [json, 'transfer-encoding: xchunked', `content-length: ${size}`]) + hidden,
    head('POST', post, [json, 'transfer-encoding: chunked, identity']) + chunks,
    head('POST', post, [json, 'transfer-encoding : chunked', 'content-length: 0']) + chunks,
    head('POST', post, [json, 'x: a\r\n transfer-encoding: chunked', 'content-length: 0']) + hidden,
    head('POST', post, [json, 'transfer-encoding:\r\n chunked', `content-length: ${size}`]) + hidden,
    head('POST', post, [json, 'transfer-encoding:\x0bchunked', `content-length: ${size}`]) + hidden,
    `${head('POST', post, [json, te])}ffffffffffffffff\r\n${hidden}`,
    `${head('POST', post, [json, te])}0x2\r\n{}\r\n${chunks}`,
    `${head('POST', post, [json, te])}2\n{}\n0\n\n${hidden}`,
    `POST ${post} HTTP/1.1\nhost: shoal\n${json}\ncontent-length: 0\n\n${hidden}`,
    `POST ${post} HTTP/1.1\rhost: shoal\r\r${hidden}`,
    `POST ${post} HTTP/1.1\r\nhost: shoal\r\nhost: other\r\ncontent-length: 0\r\nconnection: close\r\n\r\n${hidden}`,
  ];
}

/** One that is answered, and then the connection ends: nobody waits for more. */
const last = (method: string, path: string, more: readonly string[] = []): string =>
  head(method, path, ['connection: close', ...more]);

const escapes = [
  '/v2/../../../../../../etc/passwd',
  '/v2/..%2f..%2f..%2f..%2fetc%2fpasswd',
  '/v2/%2e%2e/%2e%2e/%2e%2e/etc/passwd',
  '/v2/app/blobs/sha256:../../../../etc/passwd',
  `/v2/app/blobs/sha256:${'.'.repeat(64)}`,
  '/v2/app/manifests/..%2f..%2fetc%2fpasswd',
  '/v2/..;/..;/etc/passwd/manifests/latest',
  '/v2/app/blobs/uploads/..%2f..%2f..%2fetc%2fpasswd',
  '/v2/%00/manifests/latest',
  '/v2/app%00/manifests/latest',
  '/v2/app/manifests/%c0%ae%c0%ae%c0%afetc',
  '/v2/app/manifests/%',
  '/v2/app/manifests/%zz',
  '//etc/passwd',
  '/\\..\\..\\etc\\passwd',
  '/v1/blobs/..%2f..%2fetc%2fpasswd',
  '/v1/repos/..%2f..%2f/tags/..%2f',
  '/v1/repos/%2e%2e/manifests/%2e%2e',
  '/v1/uploads/..%2f..%2f..%2fetc',
  '/tags/..%2f..%2fetc%2fpasswd',
  '/__proto__/constructor',
];

export const MALFORMED: Attacks = {
  smuggling: {
    kinds: ['http'],
    run: async (attacking) => {
      const { wire, on } = attacking;
      const requests = smuggled(on.post);
      await untilEnd(attacking, async (round) => {
        const request = requests[round % requests.length] as string;
        const answer = await wire.say(request);
        if (/shoal-smuggled/.test(answer) || (answer.match(/^HTTP\/1\.[01] /gm)?.length ?? 0) >= twoAnswers)
          isWrong(wire.heard, `smuggled: ${JSON.stringify(request)}: ${answer.slice(0, 1_000)}`);
      });
    },
  },
  'path-escape': {
    kinds: ['http'],
    run: async (attacking) => {
      const { wire } = attacking;
      const methods = ['GET', 'HEAD', 'PUT', 'DELETE', 'POST', 'PATCH'];
      await untilEnd(attacking, async (round) => {
        const path = escapes[round % escapes.length] as string;
        const method = methods[Math.floor(round / escapes.length) % methods.length] as string;
        await wire.say(head(method, path, ['connection: close', 'content-length: 0']));
      });
    },
  },
  'header-injection': {
    kinds: ['http'],
    run: async (attacking) => {
      const { wire, on } = attacking;
      const sent = [
        last('GET', `${on.get}?x=${inject}`),
        last('GET', `/v2/app${inject}/manifests/latest`),
        last('GET', `/v2/app/tags/list?n=1&last=${inject}`),
        last('GET', `/v2/_catalog?n=1&last=${inject}`),
        last('POST', `/v2/app/blobs/uploads/?mount=sha256:${'a'.repeat(64)}&from=${inject}`, ['content-length: 0']),
        last('POST', '/v2/app/blobs/uploads/', ['content-length: 0', `host: a${raw}`]),
        last('PUT', `/v2/app/blobs/uploads/${inject}?digest=${inject}`, ['content-length: 0']),
        last('GET', on.get, [`x-request-id: a${inject}`, `traceparent: ${inject}`]),
        last('GET', on.get, ['x-request-id: \x00\x01', 'range: bytes=\x00']),
        last('GET', on.get, [`accept: ${'*/*,'.repeat(1_000)}`, `range: bytes=${'0-0,'.repeat(1_000)}0-0`]),
        last('GET', on.get, [`x-forwarded-for: ${'1.1.1.1, '.repeat(1_000)}1.1.1.1${inject}`]),
      ];
      await untilEnd(attacking, async (round) => await wire.say(sent[round % sent.length] as string));
    },
  },
  upgrades: {
    kinds: ['http'],
    run: async (attacking) => {
      const { wire, on } = attacking;
      const upgrade = [
        'connection: upgrade',
        'sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==',
        'sec-websocket-version: 13',
      ];
      const sent = [
        head('GET', on.get, [...upgrade, 'upgrade: websocket']),
        head('GET', on.get, [
          'connection: upgrade, http2-settings',
          'upgrade: h2c',
          'http2-settings: AAMAAABkAAQAoAAAAAIAAAAA',
        ]),
        'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
        last('CONNECT', '127.0.0.1:22'),
        last('CONNECT', 'example.com:443', ['content-length: 10']),
        last('GET', 'http://example.com/'),
        last('GET', `http://127.0.0.1:1${on.get}`),
        last('OPTIONS', '*'),
        last('TRACE', on.get, [`x-secret: ${raw.trim()}`]),
        `GET ${on.get} HTTP/0.9\r\n\r\n`,
        `GET ${on.get} HTTP/3.7\r\nhost: a\r\n\r\n`,
        `GET ${on.get}\r\n\r\n`,
        'HELO shoal\r\n',
        last('POST', on.post, ['expect: 100-continue', 'content-length: 100000000']),
        `${last('POST', on.post, ['expect: nonsense', 'content-length: 2'])}{}`,
      ];
      await untilEnd(attacking, async (round) => await wire.say(sent[round % sent.length] as string));
    },
  },
};
