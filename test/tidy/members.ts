/** The rule of members: a process has one client of each, and one opinion of who owns a key and who answers. */
import { forTestsOnly } from '../../tools/tests-only.ts';
import type { Source } from './tree.ts';
import { withoutComments } from './tree.ts';

/** Where a client of a process of the cluster, or an order of them, may be made. The shell has no members. */
const MAKERS: readonly { readonly made: RegExp; readonly by: readonly string[] }[] = [
  {
    made: /\bnew (?:HttpClient|OriginClient)\(/,
    by: ['platform/members/', 'platform/clients/origin.ts', 'platform/clients/registry/', 'cli/'],
  },
  { made: /rendezvous\/rendezvous\.ts['"`]/, by: ['platform/members/', 'core/'] },
];
const PRODUCT = /^(core|platform|agent|origin|tracker|index|proxy|cli)\//;

export function members(tree: readonly Source[]): string[] {
  return tree.flatMap(({ path, text }) => {
    if (!PRODUCT.test(path) || forTestsOnly(path)) return [];
    const forbidden = MAKERS.filter(({ by }) => !by.some((prefix) => path.startsWith(prefix)));
    return withoutComments(text)
      .split('\n')
      .flatMap((line, index) =>
        forbidden.some(({ made }) => made.test(line))
          ? [`${path}:${index + 1}: members are asked for their client and their order (platform/members/members.ts)`]
          : [],
      );
  });
}
