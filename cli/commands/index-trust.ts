/** `shoal index trust`: an index that was restored from a backup knows what is needed, and origins go by it from now on. */

import type { Command } from 'commander';
import { ApiError } from '../../core/contracts/errors.ts';
import type { Succession } from '../../core/contracts/gc/succession.ts';
import { INDEX } from '../../core/contracts/index-api.ts';
import { CallContext } from '../../platform/clients/context.ts';
import { HttpClient } from '../../platform/clients/http.ts';
import type { HttpTransport } from '../../platform/net/http.ts';
import { Failure } from '../failure.ts';
import { HELP } from '../help.ts';
import { indexOption } from './index-option.ts';
import type { Commanding } from './origins/commands.ts';

type Given = { readonly index: string; readonly json?: boolean };
type Trusting = {
  readonly index: string;
  readonly signal: AbortSignal;
  /** Default: TCP. */
  readonly transport?: HttpTransport | undefined;
};

export function addTrustCommand(role: Command, { finishing, url, say, transport }: Commanding): void {
  role
    .command('trust')
    .description('says of an index that was restored that it knows what is needed: origins go by it')
    .addOption(indexOption('the index to tell', url))
    .option('--json', 'JSON in place of text')
    .addHelpText('after', HELP.trust)
    .action(({ index, json = false }: Given) =>
      finishing(async (signal) => {
        const before = await trustIndex({ index, signal, transport });
        if (before === undefined) throw new Failure(`${index} is of a release that knows nothing of that`);
        if (json) say(JSON.stringify(before));
        else say(trustedLine(before) ?? 'nothing was to be done: it was not restored, or is trusted already');
      }),
    );
}

/** What it was before. Undefined: it is of a release that does not know of that. */
export async function trustIndex({ index, signal, transport }: Trusting): Promise<Succession | undefined> {
  await using http = new HttpClient({ base: index, transport });
  const { method } = INDEX.trust;
  try {
    const ctx = CallContext.begin({ signal });
    return INDEX.trust.reply(await http.json<unknown>(method, INDEX.trust.path({}), { ctx, body: {} }), index);
  } catch (error) {
    if (error instanceof ApiError && error.code === 'NOT_FOUND') return undefined;
    throw error;
  }
}

/** Undefined: there is nothing to say. */
export function trustedLine(before: Succession | undefined): string | undefined {
  if (before === undefined || before.of.length === 0 || before.trusted) return undefined;
  return 'the index was restored from a backup, and is trusted from now on: origins go by it, and remove by its word what nothing links to';
}
