/** From options to what happens: blobs, hosts' caps, arrivals, crashes. Everything from the seed. */

import { pieceCount } from '../../core/piece.ts';
import type { Prng } from '../../core/prng.ts';
import type { SimBlob } from './fleet.ts';
import type { HostCaps } from './network/network.ts';
import { pieceLengthOf, type SimOptions } from './options.ts';

/** A node's CPU handles about as many messages a second as measured for the core on one core. */
const messagesPerS = 200_000;
const trackerMessagesPerS = 20_000;
export const crashedForMs = 5000;

export type Download = { readonly agent: number; readonly blobs: readonly number[]; readonly atMs: number };
export type Crash = { readonly agent: number; readonly atMs: number };

export type Scenario = {
  readonly blobs: readonly SimBlob[];
  readonly agents: readonly HostCaps[];
  readonly origins: readonly HostCaps[];
  readonly trackers: readonly HostCaps[];
  readonly slow: readonly boolean[];
  readonly downloads: readonly Download[];
  readonly crashes: readonly Crash[];
  readonly zoneBytesPerS: number;
};

export function scenarioOf(options: SimOptions, prng: Prng): Scenario {
  const blobs: SimBlob[] = [];
  const images: number[][] = [];
  for (let image = 0; image < options.images; image++) {
    const bytes =
      options.imageMax > options.image
        ? options.image + prng.unit() * (options.imageMax - options.image)
        : options.image;
    images.push(layersOf(options, Math.floor(bytes), blobs));
  }
  const slow: boolean[] = [];
  const agents: HostCaps[] = [];
  for (let i = 0; i < options.hosts; i++) {
    slow.push(prng.unit() < options.slowFraction);
    agents.push({
      upBytesPerS: slow[i] ? Math.min(options.slowRate, options.up) : options.up,
      downBytesPerS: slow[i] ? Math.min(options.slowRate, options.down) : options.down,
      zone: i % options.zones,
      messagesPerS,
    });
  }
  const perZone = options.hosts / options.zones;
  return {
    blobs,
    agents,
    origins: nodes(options.origins, options.originsApart ? { zones: 1 } : options, options.originUp, messagesPerS),
    trackers: nodes(options.trackers, options, 1.25e9, trackerMessagesPerS),
    slow,
    downloads: downloadsOf(options, images, prng),
    crashes: crashesOf(options, prng),
    zoneBytesPerS:
      options.oversubscription > 0 ? (perZone * options.up) / options.oversubscription : Number.POSITIVE_INFINITY,
  };
}

function layersOf(options: SimOptions, bytes: number, blobs: SimBlob[]): number[] {
  const layers: number[] = [];
  for (let layer = 0; layer < options.layers; layer++) {
    const length = Math.floor((bytes * (layer + 1)) / options.layers) - Math.floor((bytes * layer) / options.layers);
    const pieceLength = pieceLengthOf(options, length);
    layers.push(blobs.length);
    blobs.push({ no: blobs.length, length, pieceLength, pieces: pieceCount({ length, pieceLength }) });
  }
  return layers;
}

function nodes(count: number, options: { zones: number }, bytesPerS: number, messages: number): HostCaps[] {
  return Array.from({ length: count }, (_, i) => ({
    upBytesPerS: bytesPerS,
    downBytesPerS: bytesPerS,
    zone: i % options.zones,
    messagesPerS: messages,
  }));
}

function downloadsOf(options: SimOptions, images: readonly number[][], prng: Prng): Download[] {
  const downloads: Download[] = [];
  const at = (): number => prng.unit() * options.arriveMs;
  if (options.downloads === 0) {
    for (let agent = 0; agent < options.hosts; agent++) {
      downloads.push({ agent, blobs: images[agent % images.length] as number[], atMs: at() });
    }
    return downloads;
  }
  const taken = new Set<number>();
  while (downloads.length < options.downloads) {
    const agent = prng.below(options.hosts);
    const image = prng.below(images.length);
    const key = agent * images.length + image;
    if (taken.has(key)) continue;
    taken.add(key);
    downloads.push({ agent, blobs: images[image] as number[], atMs: at() });
  }
  return downloads;
}

/** Crashes over the first two minutes, or until the limit; each host at most once. */
function crashesOf(options: SimOptions, prng: Prng): Crash[] {
  const crashes: Crash[] = [];
  if (options.crashPerMinute === 0) return crashes;
  const spanMs = Math.min(120_000, options.limitMs);
  const chance = Math.min(1, (options.crashPerMinute * spanMs) / 60_000);
  for (let agent = 0; agent < options.hosts; agent++) {
    if (prng.unit() < chance) crashes.push({ agent, atMs: prng.unit() * spanMs });
  }
  return crashes;
}
