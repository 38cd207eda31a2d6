/** What every backend says whose credentials are wrong, over, or not enough: of the conformance suite. */

import { expect, test } from 'vitest';
import type { Digest } from '../../../core/digest.ts';
import { type Backend, type BackendCause, BackendError } from '../backend.ts';
import { registryLayout } from '../layout.ts';
import { bytesOf, never, sourceOf } from '../objects.fixtures.ts';

/** A backend that is opened with credentials that do not do. */
export type Broken = {
  readonly what: string;
  readonly make: () => Promise<Backend>;
  readonly why: Extract<BackendCause, 'credentials' | 'denied'>;
  /** What no message may have in it. */
  readonly secret?: string;
};

const bytes = Buffer.from('nobody may write this');

export function brokenConformance(
  all: readonly Broken[],
  keyOf: (digest: Digest) => string = registryLayout.blobKey,
): void {
  const source = sourceOf(bytes);
  const key = keyOf(source.digest);
  const calls: Readonly<Record<string, (backend: Backend) => Promise<unknown>>> = {
    probe: (backend) => backend.probe(never),
    stat: (backend) => backend.stat(key, never),
    read: (backend) => bytesOf(backend.read(key, { start: 0, end: 1 }, never)),
    write: (backend) => backend.write(key, source, never),
    list: (backend) => backend.list('', { max: 1 }, never),
  };
  const able = (backend: Backend, call: string): boolean =>
    (call !== 'write' || backend.can.writes) && (call !== 'list' || backend.can.list);

  test.each(all)('$what: each call says so, and what to do', async ({ make, why, secret }) => {
    for (const [name, call] of Object.entries(calls)) {
      await using backend = await make();
      if (!able(backend, name)) continue;
      const error: unknown = await call(backend).catch((error: unknown) => error);
      expect(error, name).toBeInstanceOf(BackendError);
      const { message, why: told } = error as BackendError;
      // Who is asked by a HEAD has no words for what is wrong.
      expect(name === 'stat' ? [why, 'denied'] : [why], name).toContain(told);
      expect(message).toMatch(new RegExp(`^${RegExp.escape(backend.name)}: .+: .+`));
      if (secret !== undefined) expect(message).not.toContain(secret);
    }
  });
}
