/** `shoal access rules …`, `check` and `rotate-key`: who may do what, and what tokens are signed with. */

import { parse as parseYaml, stringify, YAMLParseError } from 'yaml';
import { accessRules } from '../../../core/access/documents.ts';
import { oddities } from '../../../core/access/oddities.ts';
import { parse } from '../../../core/contracts/parse.ts';
import { StartError } from '../../../platform/lifecycle/errors.ts';
import { type AskingIndex, changeAccess, readAccess } from './document.ts';
import { textOf } from './users.ts';

/** All that were there before are replaced. What is allowed and probably not meant is said. */
export async function setRules(
  asking: AskingIndex,
  file: string,
): Promise<{ readonly line: string; readonly odd: readonly string[] }> {
  const read = parse(accessRules, listIn(await textOf(file), file), 'the list');
  if (!read.ok) throw new StartError(`${file}: ${read.problem}: nothing was changed`);
  const now = await changeAccess(asking, () => ({ rules: read.value }));
  return { line: `${read.value.length} rule${read.value.length === 1 ? '' : 's'} from now on`, odd: oddities(now) };
}

/** A list, or an object that has it as `rules`. */
function listIn(text: string, file: string): unknown {
  try {
    const found: unknown = parseYaml(text);
    return typeof found === 'object' && found !== null && 'rules' in found ? found.rules : (found ?? []);
  } catch (error) {
    if (error instanceof YAMLParseError) throw new StartError(`${file}: ${error.message}`);
    throw error;
  }
}

/** As a file for `rules set`. */
export async function showRules(asking: AskingIndex, json: boolean): Promise<string> {
  const { rules } = await readAccess(asking);
  if (json) return JSON.stringify({ rules });
  return rules.length === 0 ? '# there are no rules: nobody may do anything' : stringify(rules).trimEnd();
}

export async function oddRules(asking: AskingIndex): Promise<readonly string[]> {
  return oddities(await readAccess(asking));
}

/** `forget`: what older keys signed counts no more, at once. */
export async function rotateKey(asking: AskingIndex, forget: boolean): Promise<string> {
  await changeAccess(asking, ({ keyGeneration }) => ({ keyGeneration: keyGeneration + 1, forgetKeys: forget }));
  return forget
    ? 'proxies make a new key now; nothing that older ones signed counts any more: whoever was logged in logs in again'
    : 'proxies make a new key now, and sign with it half a minute later; what the older one signed counts until it expires';
}
