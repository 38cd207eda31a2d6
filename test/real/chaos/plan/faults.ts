/**
 * The faults that a run may have, and what two of them at once may not do. What Shoal promises decides that, no less:
 * whatever is not forbidden here must be borne.
 */
import type { Node, Role } from './topology.ts';

export const KINDS = ['kill', 'stop', 'full', 'lost', 'dead', 'cut', 'split', 'shaped', 'lossy', 'clock'] as const;
export type Kind = (typeof KINDS)[number];

export type Fault = {
  /** From 1, in the order of their beginning. */
  readonly no: number;
  readonly kind: Kind;
  readonly target: string;
  /** Whom the target neither hears nor reaches: of a split only. */
  readonly peer?: string;
  /** Since the load began. */
  readonly atMs: number;
  /** Until it is mended; what was killed is started then. */
  readonly forMs: number;
  /** In per cent of packets (lossy), Mbit/s (shaped), minutes (clock). */
  readonly amount: number;
};

type Range = readonly [min: number, max: number];
type About = {
  /** What the log says happens. */
  readonly what: string;
  readonly roles: readonly Role[];
  /** How often it is drawn, beside the others. */
  readonly weight: number;
  readonly seconds: Range;
  readonly amount?: Range;
  /** The node does nothing for anybody meanwhile, as far as the others can tell. */
  readonly down: boolean;
};

const all: readonly Role[] = ['origin', 'tracker', 'proxy', 'index', 'agent'];

export const ABOUT: Readonly<Record<Kind, About>> = {
  kill: { what: 'kill -9', roles: all, weight: 5, seconds: [1, 10], down: true },
  stop: { what: 'SIGSTOP', roles: all, weight: 4, seconds: [2, 30], down: true },
  full: { what: 'its disk is full', roles: ['origin', 'index', 'agent'], weight: 3, seconds: [4, 20], down: true },
  /** Of the index no: without a backend it is the only one that knows the tags. */
  lost: {
    what: 'kill -9, and its disk is a new one',
    roles: ['origin', 'agent'],
    weight: 2,
    seconds: [1, 8],
    down: true,
  },
  /** As its operator mends it: another disk, and a start. */
  dead: { what: 'its disk answers EIO', roles: ['origin', 'agent'], weight: 2, seconds: [4, 20], down: true },
  cut: { what: 'its link is down', roles: all, weight: 3, seconds: [2, 20], down: true },
  split: {
    what: 'hears nothing of',
    roles: ['origin', 'tracker', 'proxy', 'agent'],
    weight: 3,
    seconds: [3, 30],
    down: true,
  },
  shaped: {
    what: 'its link is shaped to Mbit/s',
    roles: all,
    weight: 2,
    seconds: [5, 30],
    amount: [8, 40],
    down: false,
  },
  lossy: { what: 'its link loses per cent', roles: all, weight: 2, seconds: [5, 30], amount: [1, 5], down: false },
  clock: {
    what: 'its clock is back by minutes',
    roles: all,
    weight: 2,
    seconds: [5, 30],
    amount: [2, 180],
    down: false,
  },
};

/** How often a role is drawn: one process by itself less often than one of many, and the many agents not most of all. */
export const WEIGHTS: Readonly<Record<Role, number>> = { origin: 4, tracker: 3, proxy: 2, index: 1, agent: 4 };

/** The index is waited for by every tag: it is away for less, or a run would show nothing else. */
export const indexSecondsMax = 5;
/** A process that was started reads its disk and is found again by the others. */
export const startMs = 5_000;
/** Of blobs whose second copy was lost there is one until repair has made another. */
export const repairMs = 45_000;
/** Agents that are down at once: the load is theirs. */
const agentsDownPart = 0.3;

/** What it is that has to be started in the end. */
const STARTED: ReadonlySet<Kind> = new Set<Kind>(['kill', 'lost', 'dead']);
/** Of these a disk is another one afterwards. */
const EMPTY: ReadonlySet<Kind> = new Set<Kind>(['lost', 'dead']);

/** Until when the fault counts against others. */
export function overMs({ kind, target, atMs, forMs }: Fault): number {
  const after = EMPTY.has(kind) && target.startsWith('origin') ? repairMs : STARTED.has(kind) ? startMs : 0;
  return atMs + forMs + after;
}

const touches = (fault: Fault, name: string): boolean => fault.target === name || fault.peer === name;
const endsOf = ({ target, peer }: Fault): string[] => (peer === undefined ? [target] : [target, peer]);

export type Cluster = ReadonlyMap<string, Node>;
type Rule = {
  readonly why: string;
  readonly holds: (now: readonly Fault[], next: Fault, cluster: Cluster) => boolean;
};

/** How many faults there would be that take one of that role away from somebody. */
function downOf(role: Role, faults: readonly Fault[], cluster: Cluster): number {
  const away = (fault: Fault): boolean =>
    ABOUT[fault.kind].down && endsOf(fault).some((name) => cluster.get(name)?.role === role);
  return faults.filter(away).length;
}

const atMost = (role: Role, count: number, why: string): Rule => ({
  why,
  holds: (now, next, cluster) => downOf(role, [next], cluster) === 0 || downOf(role, [...now, next], cluster) <= count,
});

/** Whether `next` may begin while these go on. */
export function allows(cluster: Cluster, now: readonly Fault[], next: Fault): boolean {
  return rulesOf(cluster).every(({ holds }) => holds(now, next, cluster));
}

/** Trackers are not among them: with none there, agents ask the origins. */
function rulesOf(cluster: Cluster): readonly Rule[] {
  const agents = [...cluster.values()].filter(({ role }) => role === 'agent').length;
  return [
    {
      why: 'a host has one fault at a time: its end is the end of that one',
      holds: (now, next) => endsOf(next).every((name) => !now.some((fault) => touches(fault, name))),
    },
    atMost('origin', 1, 'a blob has two copies: of its owners one is whole and can be reached'),
    atMost('proxy', 1, 'pushes go on: clients keep none, a load balancer would send them to the other proxy'),
    atMost('agent', Math.max(1, Math.floor(agents * agentsDownPart)), 'most of the load goes on'),
  ];
}
