/** What the backend of a run is like: the peculiarities that kinds have, drawn by the seed. */

import { type Prng, prng } from '../../../core/prng.ts';

const everySeeds = 4;

export function backedIn(seed: number): boolean {
  return seed % everySeeds === 1;
}

export type Nature = {
  readonly can: {
    readonly conditions: boolean;
    readonly list: boolean;
    readonly writes: boolean;
    readonly records: boolean;
  };
  /** It keeps the digests of what is written to it, and tells them. */
  readonly digests: boolean;
  /** A read that begins elsewhere costs all that lies before. */
  readonly ranges: boolean;
  /** Its lists are so old. */
  readonly listLagMs: number;
  /** Of a request, at most. */
  readonly latencyMs: number;
  /** Of one stream. */
  readonly bytesPerS: number;
  /** Of the requests, while faults last. */
  readonly faultShare: number;
  readonly durability: 'origins' | 'backend';
  /** Images that nothing but the backend has, when the run begins; as many again are not asked for before faults are over. */
  readonly cold: number;
};

/** Kinds as they are: most can do everything. */
const natures: readonly (readonly [string, Partial<Pick<Nature, 'can' | 'digests' | 'ranges' | 'listLagMs'>>])[] = [
  ['as S3', {}],
  ['as a bucket that others filled', { digests: false }],
  ['without conditions', { can: { conditions: false, list: true, writes: true, records: true } }],
  ['without ranges', { ranges: false, digests: false }],
  ['with lists that lag', { listLagMs: 2_000 }],
  [
    'as a registry',
    { can: { conditions: false, list: false, writes: true, records: false }, digests: false, listLagMs: 0 },
  ],
  [
    'that is read-only',
    { can: { conditions: false, list: false, writes: false, records: false }, digests: false, ranges: false },
  ],
];
const coldMax = 2;

/** With what it is called in faults. */
export function natureOf(seed: number): readonly [string, Nature] {
  const random: Prng = prng(seed ^ 0x5ba5e);
  const one = <T>(of: readonly T[]): T => of[random.below(of.length)] as T;
  const [name, own] = one(natures);
  return [
    name,
    {
      can: { conditions: true, list: true, writes: true, records: true },
      digests: true,
      ranges: true,
      listLagMs: 0,
      latencyMs: one([2, 20, 200]),
      bytesPerS: one([1e6, 5e6, 50e6]),
      faultShare: one([0.1, 0.3, 0.6]),
      durability: one(['origins', 'origins', 'backend']),
      cold: random.below(coldMax + 1),
      ...own,
    },
  ];
}
