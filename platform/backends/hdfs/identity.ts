/**
 * Who we are to HDFS: a name that it believes, or a delegation token, which may lie in a file.
 *
 * Rule: the file is read at the first request, and again when what it held was refused: at most every `reloadMsMin`, and
 *       once for all who were refused together.
 */

import { readFile } from 'node:fs/promises';
import type { Clock } from '../../net/clock.ts';
import { BackendError } from '../backend.ts';
import type { HdfsSettings } from './config.ts';

/** Whoever rewrites the file does so every few hours. */
const reloadMsMin = 5_000;
/** Longer is no token. */
const tokenBytesMax = 16 * 1024;

export class Identity {
  readonly #name: string;
  readonly #said: HdfsSettings['delegationToken'];
  readonly #user: string | undefined;
  readonly #clock: Clock;
  #token: Promise<string> | undefined;
  #readMs = Number.NEGATIVE_INFINITY;

  constructor(name: string, { user, delegationToken }: HdfsSettings, clock: Clock) {
    this.#name = name;
    this.#said = delegationToken;
    this.#user = user;
    this.#clock = clock;
  }

  /** What a request says in its query. */
  async said(): Promise<Readonly<Record<string, string>>> {
    if (this.#said === undefined) return { 'user.name': this.#user ?? '' };
    if ('token' in this.#said) return { delegation: this.#said.token };
    this.#token ??= this.#read(this.#said.file);
    return { delegation: await this.#token };
  }

  /** After `refused` was: whether there is something else to say now. */
  async renewed(refused: Readonly<Record<string, string>>): Promise<boolean> {
    if (this.#said === undefined || 'token' in this.#said) return false;
    const now = await this.said();
    if (now['delegation'] !== refused['delegation']) return true;
    if (this.#clock.nowMs() - this.#readMs < reloadMsMin) return false;
    this.#token = this.#read(this.#said.file);
    return (await this.said())['delegation'] !== refused['delegation'];
  }

  async #read(file: string): Promise<string> {
    this.#readMs = this.#clock.nowMs();
    const wrong = (what: string, error?: unknown): BackendError => {
      this.#token = undefined;
      const remedy = 'put the urlString of a delegation token there (GETDELEGATIONTOKEN)';
      return new BackendError('credentials', `${this.#name}: ${file} ${what}: ${remedy}`, { error });
    };
    const text = await readFile(file, 'utf8').catch((error: Error) => {
      throw wrong(`cannot be read (${error.message})`, error);
    });
    const token = text.trim();
    if (token.length > tokenBytesMax || !/^[A-Za-z0-9_-]+={0,2}$/.test(token)) throw wrong('holds no delegation token');
    return token;
  }
}
