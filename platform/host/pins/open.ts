/** The pins of a role: who looks them up, and how they are told. */

import type { FastifyInstance } from 'fastify';
import { PINS } from '../../../core/contracts/pins.ts';
import type { Digest } from '../../../core/digest.ts';
import { serve } from '../../http/serve.ts';
import type { RoleContext } from '../../lifecycle/role.ts';
import type { BlobStore } from '../../store/store.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { PinSet, Pins, type PinsOptions } from './pins.ts';

type Parts = Pick<PinsOptions, 'architecture' | 'budgetBytes' | 'index' | 'read' | 'wanted'> & {
  readonly set: PinSet | undefined;
  readonly store: Pick<BlobStore, 'get'>;
};

/** undefined: nothing is pinned. */
export function pinSetOf(pins: readonly string[]): PinSet | undefined {
  return pins.length === 0 ? undefined : new PinSet(pins);
}

/** undefined: nothing is pinned. Ends with the stack. */
export function beginPins(
  { config, log, metrics }: RoleContext<{ readonly data: string }>,
  { set, store, ...parts }: Parts,
  stack: AsyncDisposableStack,
): Pins | undefined {
  if (set === undefined) return undefined;
  const here = (digest: Digest): number | undefined => {
    const entry = store.get(digest);
    return entry?.complete ? entry.meta.length : undefined;
  };
  const pins = stack.use(new Pins(set, { ...parts, dir: config.data, here, log }));
  observe(metrics, pins);
  return pins;
}

export function addPinsRoute(app: FastifyInstance, pins: Pick<Pins, 'status'> | undefined): void {
  serve(app, PINS.list, () => ({ pins: pins?.status() ?? [] }));
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
