/** Time in a simulation, as drivers and clocks of the product take it: one event each time that somebody is to be woken. */

import type { Alarm } from '../../platform/drive/driver.ts';
import type { Clock } from '../../platform/net/clock.ts';
import { type Events, SimEvent } from './events.ts';

class AlarmEvent extends SimEvent implements Disposable {
  readonly #ring: () => void;
  constructor(host: number, ring: () => void) {
    super();
    this.host = host;
    this.#ring = ring;
  }
  run(): void {
    this.#ring();
  }
  [Symbol.dispose](): void {
    this.dead = true;
  }
}

/** `host`: where it happens, or -1. It rings `lateMs` late. */
export function alarmOf(events: Events, host: number, lateMs: number): Alarm {
  return {
    nowMs: () => events.nowMs,
    at: (ms, ring) => {
      const event = new AlarmEvent(host, ring);
      events.schedule(event, ms + lateMs);
      return event;
    },
  };
}

/** Of what is at no host. */
export function clockOf(events: Events): Clock {
  const { nowMs, at } = alarmOf(events, -1, 0);
  return { nowMs, after: (ms, call) => at(nowMs() + ms, call), soon: (call) => void at(nowMs(), call) };
}
