/**
 * The keys that requests are signed with, and looked up again when a server refuses them: a file that was rewritten, a
 * role's keys that are over.
 *
 * Rule 1: a file or a profile that the rule names is named where no keys come of it.
 * Rule 2: whoever was refused asks for new keys by naming the ones that it had: those who were refused together look up once.
 */

import { access, constants } from 'node:fs/promises';
import { type DefaultProviderInit, defaultProvider } from '@aws-sdk/credential-provider-node';
import type { S3Settings } from './config.ts';
import { reloadMsMin } from './limits.ts';

export type Keys = Awaited<ReturnType<ReturnType<typeof defaultProvider>>>;

export class S3Credentials {
  readonly #look: (options: { forceRefresh?: boolean }) => Promise<Keys>;
  readonly #nowMs: () => number;
  /** Keys that are in the configuration itself stay as they are. */
  readonly #fixed: boolean;
  #reloadedMs = Number.NEGATIVE_INFINITY;
  #reloading: Promise<Keys> | undefined;

  constructor(said: S3Settings['credentials'], init: DefaultProviderInit, nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#fixed = said !== undefined && 'accessKeyId' in said;
    if (said !== undefined && 'accessKeyId' in said) {
      const { accessKeyId, secretAccessKey, sessionToken } = said;
      const keys: Keys = { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) };
      this.#look = async () => keys;
      return;
    }
    // A named file is the only one: what ~/.aws/config says of such a profile is not meant.
    const files = said !== undefined && 'file' in said ? { filepath: said.file, configFilepath: said.file } : {};
    const profile = said === undefined ? {} : { profile: said.profile };
    const look = defaultProvider({ ...init, ...files, ...profile, ignoreCache: true });
    this.#look = (options) =>
      look(options).catch(async (error: unknown) => {
        throw said === undefined ? error : await named(error, said);
      });
  }

  /** Looked up once, and again shortly before they are over, where they say when. */
  keys(): Promise<Keys> {
    return this.#look({});
  }

  /** `refused` are over, or wrong: are there others by now? */
  async others(refused: Keys): Promise<boolean> {
    if (this.#fixed) return false;
    if (differ(await this.keys(), refused)) return true;
    this.#reloading ??= this.#reload();
    return differ(await this.#reloading, refused);
  }

  async #reload(): Promise<Keys> {
    try {
      const pause = this.#nowMs() - this.#reloadedMs < reloadMsMin;
      return await this.#look(pause ? {} : { forceRefresh: true });
    } finally {
      this.#reloadedMs = this.#nowMs();
      this.#reloading = undefined;
    }
  }
}

/** What the SDK says of keys that it did not find, with where they were to be. */
async function named(error: unknown, { file, profile }: { file?: string; profile: string }): Promise<unknown> {
  if (!(error instanceof Error)) return error;
  const unread =
    file === undefined
      ? undefined
      : await access(file, constants.R_OK).then(
          () => undefined,
          (failure: NodeJS.ErrnoException) => failure.code ?? failure.message,
        );
  const of = file === undefined ? '' : ` of file ${file}`;
  const why = unread === undefined ? error.message : `the file cannot be read (${unread})`;
  // s3Error goes by the name.
  return Object.assign(new Error(`no keys of profile ${profile}${of}: ${why}`, { cause: error }), { name: error.name });
}

function differ(one: Keys, other: Keys): boolean {
  return (
    one.accessKeyId !== other.accessKeyId ||
    one.secretAccessKey !== other.secretAccessKey ||
    one.sessionToken !== other.sessionToken
  );
}
