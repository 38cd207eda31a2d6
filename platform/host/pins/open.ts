/** The pins of a role: who looks them up, and how they are told. */

import type { FastifyInstance } from 'fastify';
import { PINS } from '../../../core/contracts/pins.ts';
import type { Digest } from '../../../core/digest.ts';
import { serve } from '../../http/serve.ts';
import type { RoleContext } from '../../lifecycle/role.ts';
import type { BlobStore } from '../../store/store.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { type PinSet, Pins, type PinsOptions } from './pins.ts';

type Parts = Pick<
  PinsOptions,
  'architecture' | 'budgetBytes' | 'configured' | 'fetch' | 'index' | 'read' | 'wanted'
> & {
  readonly set: PinSet;
  readonly store: Pick<BlobStore, 'get'>;
};

/** Ends with the stack. */
export function beginPins(
  { config, log, metrics }: RoleContext<{ readonly data: string }>,
  { set, store, ...parts }: Parts,
  stack: AsyncDisposableStack,
): Pins {
  const here = (digest: Digest): number | undefined => {
    const entry = store.get(digest);
    return entry?.complete ? entry.meta.length : undefined;
  };
  const pins = stack.use(new Pins(set, { ...parts, dir: config.data, here, log }));
  observe(metrics, pins);
  return pins;
}

export function addPinsRoutes(app: FastifyInstance, pins: Pick<Pins, 'add' | 'remove' | 'status'>): void {
  serve(app, PINS.list, () => ({ pins: pins.status() }));
  serve(app, PINS.add, async ({ body: { pin } }) => {
    await pins.add(pin);
    return { pins: pins.status() };
  });
  serve(app, PINS.remove, async ({ at: { pin } }) => {
    await pins.remove(pin);
    return { pins: pins.status() };
  });
}

function observe(metrics: Metrics, pins: Pins): void {
  const each = (name: string, help: string, value: (pin: ReturnType<Pins['status']>[number]) => number): void =>
    metrics.observedEach(name, help, {
      labels: ['pin'],
      read: () => pins.status().map((one) => ({ labels: { pin: one.pin }, value: value(one) })),
    });
  each('pin_complete', 'Whether everything of a pin is here, as looked up last', ({ complete }) => (complete ? 1 : 0));
  each('pin_bytes', 'Bytes of the blobs of a pin, here or not', ({ bytes }) => bytes);
  each('pin_lacking_bytes', 'Bytes of these that are not here', ({ lackingBytes }) => lackingBytes);
}
