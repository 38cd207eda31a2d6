/**
 * The two engines that several index processes share, each as servers that are killed, stopped and failed over, and beside
 * them the bucket in which the blobs rest.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { temporary } from '../../processes.ts';
import type { S3Server } from '../servers/s3.ts';
import { type Restartable, started } from '../servers/server.ts';
import { startVersitygw } from '../servers/versitygw.ts';
import { PostgresPair } from './postgres-pair.ts';
import type { Trouble } from './troubles.ts';

type Said = Readonly<Record<string, unknown>>;
export type Engine = {
  /** What the configurations of indexes and of origins say. */
  readonly index: Said;
  readonly origin: Said;
  readonly troubles: readonly Trouble[];
  /** kill -9 of all of its servers, which begin again on what they have. */
  fall(): Promise<void>;
};

const upMsMax = 60_000;
/** Killed before it begins again. */
const awayMs = 300;

export const engines: Readonly<Record<string, (stack: AsyncDisposableStack) => Promise<Engine>>> = {
  async 'PostgreSQL with a standby'(stack) {
    const pair = stack.use(await PostgresPair.start(await temporary(stack, 'pair')));
    const bucket = await started(stack, startVersitygw);
    const failOver: Trouble = {
      target: 'postgres',
      what: 'the primary is lost, and the standby takes over',
      async run() {
        await pair.failOver();
        await sleep(awayMs);
        await again(() => pair.rejoin());
      },
    };
    return {
      index: { store: { kind: 'postgres', host: pair.hosts, ...pair.settings } },
      origin: blobsIn(bucket),
      troubles: [
        failOver,
        ...troublesOf('postgres', () => pair.primary),
        stopOf('postgres', () => pair.standby),
        ...troublesOf('bucket', () => bucket),
      ],
      async fall() {
        const servers = [pair.standby, pair.primary, bucket];
        for (const server of servers) await server.kill();
        for (const server of servers) await again(() => server.start());
      },
    };
  },
  async 'a bucket'(stack) {
    const bucket = await started(stack, startVersitygw);
    await bucket.makeBucket('tags');
    const rule = { name: 'tags', s3: { ...bucket.rule.s3, bucket: 'tags' } };
    return {
      index: { store: { kind: 'bucket', backend: rule.name }, backends: [rule] },
      origin: blobsIn(bucket),
      troubles: troublesOf('bucket', () => bucket),
      async fall() {
        await bucket.kill();
        await again(() => bucket.start());
      },
    };
  },
};

/** What is acknowledged is in the bucket: all disks may be lost. */
function blobsIn({ rule }: S3Server): Said {
  return { backends: [{ ...rule, durability: 'backend' }] };
}

function troublesOf(target: string, server: () => Restartable): Trouble[] {
  const kill: Trouble = {
    target,
    what: 'kill -9',
    async run() {
      await server().kill();
      await sleep(awayMs);
      await again(() => server().start());
    },
  };
  return [kill, stopOf(target, server)];
}

function stopOf(target: string, server: () => Restartable): Trouble {
  return {
    target,
    what: 'SIGSTOP',
    async run(forMs) {
      const stopped = server();
      stopped.signal('SIGSTOP');
      await sleep(forMs);
      stopped.signal('SIGCONT');
    },
  };
}

/** A server that was killed may be refused once or twice what its processes had, or its port. */
const again = (start: () => Promise<void>): Promise<void> =>
  expect.poll(() => start().then(() => 'up', String), { timeout: upMsMax }).toBe('up');
