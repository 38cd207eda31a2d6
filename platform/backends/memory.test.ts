import { describe } from 'vitest';
import { backendConformance } from './conformance.fixtures.ts';
import { MemoryBackend } from './memory.ts';

describe('a backend in memory', () => backendConformance(async () => new MemoryBackend('test')));
