/**
 * Prometheus metrics of one process, without the library's global registry.
 *
 * Rule 1: every name of ours starts with `shoal_`; callers leave the prefix out.
 * Rule 2: asking for a metric that exists gives the same one, so that two servers of one process share it.
 */

import { Counter, collectDefaultMetrics, Gauge, Histogram, type LabelValues, Registry } from 'prom-client';
import { assert } from '../../core/assert.ts';

const prefix = 'shoal_';

/** A counter of one label value that costs an addition; it is published when the metrics are read. */
export class Tally {
  count = 0;

  add(by: number): void {
    this.count += by;
  }
}

/** 1 ms to 100 s, about three a decade: from a cached manifest to a pull of many gigabytes. */
export const DURATION_BUCKETS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100];

/**
 * How often the event loop is looked at, ms: its delay (whose quantiles count this time in) and its utilization. As the
 * library has it, 10 and 100, an idle agent takes 1.5 percent of a core; like this 0.4.
 */
const loopSampling = { eventLoopMonitoringPrecision: 100, eventLoopUtilizationTimeout: 1_000 } as const;

export class Metrics {
  readonly registry = new Registry();
  readonly #tallies = new Map<string, Map<string, Tally>>();

  /** `processDefaults`: also process_* and nodejs_* (CPU, resident memory, event-loop lag); once a process. */
  constructor(options: { readonly processDefaults?: boolean } = {}) {
    if (options.processDefaults === true) collectDefaultMetrics({ register: this.registry, ...loopSampling });
  }

  counter<L extends string = never>(name: string, help: string, labels: readonly L[] = []): Counter<L> {
    const made = () => new Counter({ name: prefix + name, help, labelNames: labels, registers: [this.registry] });
    const metric = this.registry.getSingleMetric(prefix + name) ?? made();
    assert(metric instanceof Counter, `metric ${name} exists and is no counter`);
    return metric as Counter<L>;
  }

  /** A counter for hot paths: the tally of each value of its one label, which the caller holds on to. */
  tallies<V extends string>(name: string, help: string, label: string, values: readonly V[]): Record<V, Tally> {
    const known = this.#tallies.get(name) ?? new Map<string, Tally>();
    for (const value of values) if (!known.has(value)) known.set(value, new Tally());
    if (!this.#tallies.has(name)) {
      this.#tallies.set(name, known);
      new Counter({
        name: prefix + name,
        help,
        labelNames: [label],
        registers: [this.registry],
        collect() {
          this.reset();
          for (const [value, { count }] of known) this.inc({ [label]: value }, count);
        },
      });
    }
    return Object.fromEntries(values.map((value) => [value, known.get(value)])) as Record<V, Tally>;
  }

  gauge<L extends string = never>(name: string, help: string, labels: readonly L[] = []): Gauge<L> {
    const made = () => new Gauge({ name: prefix + name, help, labelNames: labels, registers: [this.registry] });
    const metric = this.registry.getSingleMetric(prefix + name) ?? made();
    assert(metric instanceof Gauge, `metric ${name} exists and is no gauge`);
    return metric as Gauge<L>;
  }

  /** `help` should name the unit; buckets default to durations in seconds. */
  histogram<L extends string = never>(
    name: string,
    help: string,
    labels: readonly L[] = [],
    buckets = DURATION_BUCKETS_S,
  ): Histogram<L> {
    const made = () =>
      new Histogram({
        name: prefix + name,
        help,
        labelNames: labels,
        buckets: [...buckets],
        registers: [this.registry],
      });
    const metric = this.registry.getSingleMetric(prefix + name) ?? made();
    assert(metric instanceof Histogram, `metric ${name} exists and is no histogram`);
    return metric as Histogram<L>;
  }

  /** A gauge whose value is asked for when the metrics are read. */
  observed(name: string, help: string, read: () => number): void {
    if (this.registry.getSingleMetric(prefix + name) !== undefined) return;
    new Gauge({
      name: prefix + name,
      help,
      registers: [this.registry],
      collect() {
        this.set(read());
      },
    });
  }

  /** The same, of several things that labels tell apart: those that are there when the metrics are read. */
  observedEach<L extends string>(
    name: string,
    help: string,
    o: {
      readonly labels: readonly L[];
      readonly read: () => readonly { readonly labels: LabelValues<L>; readonly value: number }[];
    },
  ): void {
    if (this.registry.getSingleMetric(prefix + name) !== undefined) return;
    new Gauge({
      name: prefix + name,
      help,
      labelNames: o.labels,
      registers: [this.registry],
      collect() {
        this.reset();
        for (const { labels, value } of o.read()) this.set(labels, value);
      },
    });
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  text(): Promise<string> {
    return this.registry.metrics();
  }
}
