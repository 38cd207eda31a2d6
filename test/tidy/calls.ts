/** The rule of call contexts: one file makes them, and reads and writes what of them travels. */
import { forTestsOnly } from '../../tools/tests-only.ts';
import type { Source } from './tree.ts';
import { withoutComments } from './tree.ts';

const PRODUCT = /^(core|platform|agent|origin|tracker|index|proxy|cli)\//;
const MAKER = 'platform/clients/context.ts';
const NAMES = 'core/contracts/call.ts';

const HEADERS = /\bCALL_HEADERS\b|['"`]x-(?:request-id|shoal-client|shoal-deadline)['"`]|\btrace(?:parent|state)\b/i;
/** A literal, or something that claims to be one; a copy of its fields. */
const MADE =
  /\bas (?:unknown as )?CallContext\b|: CallContext = \{|<CallContext>\s*\{|\{ \.\.\.(?:ctx\b(?!\.)|call, (?:signal|requestId))/;

/** Nobody builds a call context, or deals with its headers, but its own file. */
export function calls(tree: readonly Source[]): string[] {
  return tree.flatMap(({ path, text }) => {
    if (!PRODUCT.test(path) || forTestsOnly(path) || path === MAKER || path === NAMES) return [];
    return withoutComments(text)
      .split('\n')
      .flatMap((line, index) => {
        if (HEADERS.test(line)) return [`${path}:${index + 1}: only ${MAKER} reads and writes what goes with a call`];
        if (MADE.test(line)) return [`${path}:${index + 1}: a call context is derived by its methods (${MAKER})`];
        return [];
      });
  });
}
