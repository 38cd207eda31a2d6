/** A backend in memory, and with it the suites themselves: of kinds that have only blobs, or only tags, as well. */

import { describe } from 'vitest';
import { backendConformance, blobsConformance, tagsConformance } from './conformance.fixtures.ts';
import { registryLayout } from './layout.ts';
import { MemoryBackend } from './memory.ts';

const { blobKey, links } = registryLayout;
const made = async () => new MemoryBackend('test');

describe('a backend in memory', () => backendConformance(made, { loads: true }));

describe('its blobs', () => blobsConformance(made, { keyOf: blobKey }));

describe('its tags', () =>
  tagsConformance(made, { keyOf: (repo, name) => links.linkKey({ repo, kind: 'tag', name }) }));
