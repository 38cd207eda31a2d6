/**
 * Paths of HTTP interfaces are written in one place each, and built and taken apart from there by both sides of a call.
 * Tests and attacks may write them out: they say what is on the wire.
 */
import type { Source } from './tree.ts';
import { withoutComments } from './tree.ts';

const OWNERS = ['core/contracts/', 'core/oci/'];
const TESTS = /\.test\.ts$|^test\/|^loadgen\/attack\/kinds\//;
/** The beginnings of every interface's paths: in a string or a template, after a base URL, or in an expression. */
const PREFIX = /(?:['"`}]|\\)\/(?:v[12]\b|(?:health|readiness|metrics)['"`]|namespace\/|tags\/:)|['"`]v[12]\//;

export function paths(tree: readonly Source[]): string[] {
  const outside = tree.filter(({ path }) => !TESTS.test(path) && !OWNERS.some((owner) => path.startsWith(owner)));
  return outside.flatMap(({ path, text }) =>
    withoutComments(text)
      .split('\n')
      .flatMap((line, index) =>
        PREFIX.test(line) ? [`${path}:${index + 1}: a path by hand: core/contracts (or core/oci/paths.ts) has it`] : [],
      ),
  );
}
