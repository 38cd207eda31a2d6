/**
 * Whether all that was acknowledged is still there, by another way than that it came: every origin is asked for the
 * bytes by itself, and each proxy for them as a registry.
 */
import { ORIGIN } from '../../../../core/contracts/origin.ts';
import type { Digest } from '../../../../core/digest.ts';
import { ask } from './http.ts';
import type { Gateway } from './load.ts';
import type { Held } from './records.ts';

export type Proved = Held & {
  /** Origins that gave the right bytes, and what the others said. */
  readonly copies: number;
  readonly said: readonly string[];
  /** What the proxies gave in place of it. */
  readonly wrong: readonly string[];
};

const atOnce = 8;
const silentMs = 30_000;

export async function proveAll(
  held: readonly Held[],
  origins: readonly string[],
  proxies: readonly Gateway[],
): Promise<Proved[]> {
  const left = [...new Map(held.map((it) => [`${it.repo} ${it.digest}`, it])).values()];
  const proved: Proved[] = [];
  const next = async (): Promise<void> => {
    for (let it = left.pop(); it !== undefined; it = left.pop()) proved.push(await prove(it, origins, proxies));
  };
  await Promise.all(Array.from({ length: atOnce }, next));
  return proved;
}

/** The right copies of one digest at the origins. */
export async function copiesOf(
  digest: string,
  origins: readonly string[],
): Promise<{ copies: number; said: string[] }> {
  const said: string[] = [];
  let copies = 0;
  for (const base of origins) {
    // With a proof it tells only what it holds itself.
    const at = `${base}${ORIGIN.info.path({ digest: digest as Digest, proof: 'size' })}`;
    const info = await ask(at, { silentMs }).catch((error: Error) => error.message);
    const holds = typeof info !== 'string' && info.status === 200;
    const read = holds
      ? await ask(`${base}${ORIGIN.read.path({ digest: digest as Digest })}`, { silentMs }).catch(
          (error: Error) => error.message,
        )
      : info;
    if (typeof read !== 'string' && read.status === 200 && read.digest === digest) copies++;
    else said.push(`${base}: ${typeof read === 'string' ? read : `${read.status}, ${read.bytes} bytes`}`);
  }
  return { copies, said };
}

async function prove(it: Held, origins: readonly string[], proxies: readonly Gateway[]): Promise<Proved> {
  const { copies, said } = await copiesOf(it.digest, origins);
  const wrong: string[] = [];
  for (const { name, registry } of proxies) {
    const read = it.kind === 'manifest' ? registry.manifest(it.repo, it.digest) : registry.blob(it.repo, it.digest);
    const got = await read.then(
      ({ digest }) => digest,
      (error: Error) => error.message,
    );
    if (got !== it.digest) wrong.push(`${name}: ${got}`);
  }
  return { ...it, copies, said, wrong };
}
